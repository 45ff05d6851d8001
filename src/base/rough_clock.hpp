// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

#include "base/clock.hpp"

namespace mobula {

/// The time of the last tick, at most a tenth of a second old where the machine keeps up: for what
/// happens once a task and is looked at by people. Thread-safe.
class RoughClock {
public:
    void tick(Time now) noexcept {
        ticked_at_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
    }
    [[nodiscard]] Time now() const noexcept {
        return Time(Duration(ticked_at_.load(std::memory_order_relaxed)));
    }

private:
    std::atomic<Time::rep> ticked_at_{Clock::now().time_since_epoch().count()};
};

}  // namespace mobula
