// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace mobula::native {

/// Whether the launcher calls this process rank 0, or says nothing of ranks. What every rank finds
/// out before the ranks have met, such as a mistyped setting, is then said once instead of by all.
/// Looks at the environment only. *Thread-safe*.
[[nodiscard]] bool launched_as_first() noexcept;

/// Ends a rank that found the same as the first one, and leaves the word to it. Launchers end all
/// ranks as soon as one has ended with an error, so that this one waits to be ended; some launchers
/// do not, hence only for two seconds.
[[noreturn]] void leave_word_to_first(int code) noexcept;

}  // namespace mobula::native
