// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

namespace mobula::transport {

/// A try-lock whose loser leaves word: whoever cannot enter asks, and the holder does the asked
/// work before it is out. So nobody waits, and no request falls between "still held" and "just
/// left".
///
/// *Thread-safe*.
class Turn {
public:
    /// Enters when nobody is inside.
    bool enter() noexcept {
        std::uint32_t free = 0;
        return state_.load(std::memory_order_relaxed) == 0 &&
               state_.compare_exchange_strong(free, held, std::memory_order_acquire);
    }

    /// Enters, or makes the holder do the shared work once more. What the caller has queued before
    /// is visible to whoever does it.
    bool enter_or_ask() noexcept {
        std::uint32_t seen = 0;
        while (true) {
            const std::uint32_t next = seen == 0 ? held : held | asked;
            if (state_.compare_exchange_weak(seen, next, std::memory_order_acq_rel)) {
                return seen == 0;
            }
        }
    }

    /// Leaves; calls `work` first, as often as somebody has asked meanwhile.
    template <class Work>
    void leave(Work&& work) {
        while (true) {
            std::uint32_t quiet = held;
            if (state_.compare_exchange_strong(quiet, 0, std::memory_order_acq_rel)) return;
            state_.exchange(held, std::memory_order_acq_rel);
            work();
        }
    }

private:
    static constexpr std::uint32_t held = 1;
    static constexpr std::uint32_t asked = 2;
    std::atomic<std::uint32_t> state_{0};
};

}  // namespace mobula::transport
