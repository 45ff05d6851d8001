// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace mobula::runtime {

/// From now on SIGINT, SIGTERM and SIGUSR1 (Slurm's warning before the time limit) do not end the
/// process but are noted, except where the program has a handler of its own.
void watch_signals() noexcept;

/// The first signal that was noted, or 0. Thread-safe.
[[nodiscard]] int noted_signal() noexcept;

/// The process's own handling again.
void unwatch_signals() noexcept;

}  // namespace mobula::runtime
