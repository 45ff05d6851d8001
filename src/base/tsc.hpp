// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

namespace mobula {

/// A cheap clock for intervals on one thread: the time-stamp counter where there is one.
[[nodiscard]] inline std::uint64_t ticks_now() noexcept {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

/// How many ticks a microsecond has; measured once, on the first call (a millisecond).
[[nodiscard]] std::uint64_t ticks_per_microsecond();

}  // namespace mobula
