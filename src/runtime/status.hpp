// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

namespace mobula::runtime {

/// Leaves "exit <code>" and, if there is one, "reason <sentence>" in the file for the launcher, at
/// once and whole; with `tasks_may_take`, "waits <seconds>" as well, for so long may ranks run on.
/// Does nothing without a file name; a file that cannot be written, or that is a device, link or
/// folder and so is left alone, is reported on stderr.
void write_status(const std::string& file, int code, const std::string& reason,
                  std::chrono::seconds tasks_may_take = {}) noexcept;

/// The exit code of a process whose driver returned `code`. The kernel keeps the lowest eight bits
/// only (of -1 a shell sees 255); what would become a 0 by that, such as 256, becomes 1.
[[nodiscard]] constexpr int exit_status(int code) noexcept {
    const int kept = code & 0xff;
    return code != 0 && kept == 0 ? 1 : kept;
}

/// The exit code of what was told nonsense.
inline constexpr int bad_input = 2;

/// For what is wrong before the ranks have met, usually on all of them: says the sentence on stderr
/// and leaves it in the launcher's file (MOBULA_STATUS_FILE; settings may not be had by then), once
/// for all ranks. Gives bad_input, with which the process should end. May block for two seconds.
[[nodiscard]] int refuse_to_start(const std::string& sentence) noexcept;

/// What was only asked for a text, such as its options: prints it, once for all ranks, and tells
/// the launcher's file that all is well. Gives the exit code, 0.
[[nodiscard]] int answer_at_start(const std::string& text) noexcept;

/// Ends the process with this code after a while, unless it ended before: whatever its threads do.
/// Says `words` on stderr then, if there are any.
void leave_after(std::chrono::milliseconds delay, int code, const std::string& words = {});

/// The process ends by itself after all: takes leave_after() back.
void stay() noexcept;

}  // namespace mobula::runtime
