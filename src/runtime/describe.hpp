// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace mobula::runtime {

/// What the engine of this rank sees: the rank and its node, what it was given, how it reaches the
/// others, libraries, limits of the system and settings. Each line is "topic: facts"; lines that
/// are the same on all ranks say the same. Needs a running engine. Thread-safe.
[[nodiscard]] std::vector<std::string> describe();

}  // namespace mobula::runtime
