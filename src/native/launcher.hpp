// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace mobula::native {

/// Whether the launcher calls this process rank 0, or says nothing of ranks. What every rank finds
/// out before the ranks have met, such as a mistyped setting, is then said once instead of by all.
/// Looks at the environment only. *Thread-safe*.
[[nodiscard]] bool launched_as_first() noexcept;

/// For a rank that has found what the first one should say, and ends because of it: launchers end
/// all ranks as soon as one has ended with an error, so that this one waits to be ended and takes
/// the word from nobody. Some launchers do not, hence only for two seconds.
void let_first_speak() noexcept;

}  // namespace mobula::native
