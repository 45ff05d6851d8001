// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sched.h>

#include <atomic>

namespace mobula {

/// Tells the core that this is a spin loop.
inline void cpu_relax() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

/// A lock for sections of a few dozen instructions. It yields after a short spin, because on an
/// oversubscribed node the holder may be off the CPU. Satisfies Lockable.
class Spinlock {
public:
    void lock() noexcept {
        for (int spins = 0; !try_lock(); ++spins) {
            if (spins < spins_before_yield) {
                cpu_relax();
            } else {
                sched_yield();
            }
        }
    }

    bool try_lock() noexcept {
        return !held_.load(std::memory_order_relaxed) &&
               !held_.exchange(true, std::memory_order_acquire);
    }

    void unlock() noexcept { held_.store(false, std::memory_order_release); }

private:
    static constexpr int spins_before_yield = 64;
    std::atomic<bool> held_{false};
};

}  // namespace mobula
