// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

namespace mobula {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
using Duration = Clock::duration;

}  // namespace mobula
