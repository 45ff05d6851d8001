// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "graph/task.hpp"

namespace mobula::worker {

/// One execution of a task, on the stack of the worker that runs it.
struct Frame {
    detail::Task* task = nullptr;  ///< null: the driver
    std::uint64_t caller = 0;      ///< tells callers of actors apart
    std::uint64_t started = 0;     ///< in ticks
    bool driver = false;
};

}  // namespace mobula::worker
