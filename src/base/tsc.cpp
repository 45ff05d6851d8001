// SPDX-License-Identifier: Apache-2.0
#include "base/tsc.hpp"

#include "base/clock.hpp"

namespace mobula {

namespace {

struct Moment {
    Time time;
    std::uint64_t ticks;
};

/// Both clocks at the same moment: they are read again when the thread lost its CPU between.
Moment now_on_both() {
    Moment moment{};
    for (int tries = 0; tries < 100; ++tries) {
        moment = {Clock::now(), ticks_now()};
        if (Clock::now() - moment.time < std::chrono::microseconds(10)) break;
    }
    return moment;
}

}  // namespace

std::uint64_t ticks_per_microsecond() {
    static const std::uint64_t measured = [] {
        const Moment begin = now_on_both();
        while (Clock::now() - begin.time < std::chrono::milliseconds(1)) {
        }
        const Moment end = now_on_both();
        const auto passed =
            std::chrono::duration_cast<std::chrono::nanoseconds>(end.time - begin.time).count();
        const std::uint64_t rate =
            (end.ticks - begin.ticks) * 1000 / static_cast<std::uint64_t>(passed);
        return rate == 0 ? 1 : rate;
    }();
    return measured;
}

}  // namespace mobula
