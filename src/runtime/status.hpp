// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

namespace mobula::runtime {

/// Leaves "exit <code>" and, if there is one, "reason <sentence>" in the file for the launcher, at
/// once and whole. Does nothing without a file name; a file that cannot be written is reported on
/// stderr.
void write_status(const std::string& file, int code, const std::string& reason) noexcept;

/// Ends the process with this code after a while, unless it ended before: whatever its threads do.
void leave_after(std::chrono::seconds delay, int code) noexcept;

/// The process ends by itself after all: takes leave_after() back.
void stay() noexcept;

}  // namespace mobula::runtime
