// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.hpp"
#include "native/fd.hpp"

namespace mobula::transport {

/// Sleeps on a foreign descriptor, an own wake-up call and a deadline, whichever is first.
///
/// wake() is *thread-safe* and one load where nobody sleeps and a wake-up is already noted; only
/// one thread may be between begin() and end(). A wake-up that comes while nobody sleeps ends the
/// next sleep, so work that was queued before wake() is never slept over.
class Sleeper {
public:
    /// `foreign` is a descriptor to watch for reading, or -1; it must outlive the sleeper.
    /// Throws std::system_error.
    explicit Sleeper(int foreign);

    /// False when a wake-up was noted since the last sleep: then there is no sleep, and no end().
    /// After true: look once more at what wake() announces, and then call sleep() or end().
    [[nodiscard]] bool begin() noexcept;

    /// Sleeps once, between begin() and end().
    void sleep(Time deadline) noexcept;

    /// As sleep(), but whatever the foreign descriptor has to say is another thread's business.
    void nap(Time deadline) noexcept;

    void end() noexcept;

    void wake() noexcept {
        if (state_.load(std::memory_order_seq_cst) == noted) return;
        if (state_.exchange(noted, std::memory_order_seq_cst) == asleep) ring();
    }

    [[nodiscard]] bool somebody_sleeps() const noexcept {
        return state_.load(std::memory_order_relaxed) == asleep;
    }

private:
    void ring() noexcept;
    void hear_bell() noexcept;

    static constexpr std::uint32_t awake = 0, asleep = 1, noted = 2;

    native::Fd bell_;
    native::Fd epoll_;
    std::atomic<std::uint32_t> state_{awake};
};

}  // namespace mobula::transport
