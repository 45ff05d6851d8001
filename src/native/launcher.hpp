// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

namespace mobula::native {

// What launchers tell their processes through the environment, before and without MPI.
// *Thread-safe* as long as nobody changes the environment.

/// The number that the launcher gave this process; 0 where it says nothing of ranks.
[[nodiscard]] unsigned launched_rank() noexcept;

/// Whether the launcher calls this process rank 0, or says nothing of ranks. What every rank finds
/// out before the ranks have met, such as a mistyped setting, is then said once instead of by all.
[[nodiscard]] bool launched_as_first() noexcept;

/// How many processes the launcher starts, in all and on this machine; 1 where it does not say.
struct Launched {
    std::size_t ranks = 1;
    std::size_t on_node = 1;
};
[[nodiscard]] Launched launched() noexcept;

/// For a rank that has found what the first one should say, and ends because of it: launchers end
/// all ranks as soon as one has ended with an error, so that this one waits to be ended and takes
/// the word from nobody. Some launchers do not, hence only for two seconds, and not for longer than
/// until the file is there, if one is named.
void let_first_speak(const std::string& file) noexcept;

}  // namespace mobula::native
