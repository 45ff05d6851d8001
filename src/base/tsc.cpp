// SPDX-License-Identifier: Apache-2.0
#include "base/tsc.hpp"

#include "base/clock.hpp"

namespace mobula {

std::uint64_t ticks_per_microsecond() {
    static const std::uint64_t measured = [] {
        const Time start = Clock::now();
        const std::uint64_t first = ticks_now();
        while (Clock::now() - start < std::chrono::milliseconds(1)) {
        }
        const std::uint64_t ticks = ticks_now() - first;
        const auto passed =
            std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count();
        const std::uint64_t rate = ticks * 1000 / static_cast<std::uint64_t>(passed);
        return rate == 0 ? 1 : rate;
    }();
    return measured;
}

}  // namespace mobula
