// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>

namespace mobula::worker {

/// How many workers may run usual tasks, which ask for one CPU each, at once: fewer than there are
/// while something else has CPUs of the rank. A worker has a share while it runs such a task; it is
/// counted only then, so that nothing is counted where nothing is limited. Thread-safe, but for
/// set().
class Allowance {
public:
    static constexpr std::uint32_t all = std::numeric_limits<std::uint32_t>::max();
    /// Which limit a worker was counted under; 0: none.
    using Share = std::uint32_t;

    [[nodiscard]] bool limited() const noexcept { return allowed_.load() != all; }
    [[nodiscard]] std::uint32_t allowed() const noexcept { return allowed_.load(); }
    /// How many more workers may begin a usual task.
    [[nodiscard]] std::uint32_t left() const noexcept {
        const std::uint32_t allowed = allowed_.load();
        const std::uint32_t running = running_in(state_.load());
        return allowed == all ? all : allowed - std::min(allowed, running);
    }

    /// `all`: no limit. One thread at a time.
    void set(std::uint32_t workers) noexcept {
        // What was counted under an earlier limit and not given back is forgotten.
        if (!limited() && workers != all) state_.store(((state_.load() >> 32U) + 1) << 32U);
        allowed_.store(workers);
    }

    /// A share for the calling worker, or 0 when none is left.
    [[nodiscard]] Share enter() noexcept {
        std::uint64_t state = state_.load();
        do {
            if (running_in(state) >= allowed_.load()) return 0;
        } while (!state_.compare_exchange_weak(state, state + 1));
        return limit_of(state);
    }
    /// A share in any case, for what goes on again: an overload for a while.
    [[nodiscard]] Share enter_anyway() noexcept { return limit_of(state_.fetch_add(1)); }
    /// The share if it still counts and is not one too many, else 0 and it is given back.
    [[nodiscard]] Share keep(Share share) noexcept {
        const std::uint64_t state = state_.load();
        if (share == 0 || limit_of(state) != share) return 0;
        if (running_in(state) <= allowed_.load()) return share;
        leave(share);
        return 0;
    }
    void leave(Share share) noexcept {
        std::uint64_t state = state_.load();
        while (limit_of(state) == share && running_in(state) != 0 &&
               !state_.compare_exchange_weak(state, state - 1)) {
        }
    }

private:
    static std::uint32_t running_in(std::uint64_t state) noexcept {
        return static_cast<std::uint32_t>(state);
    }
    static Share limit_of(std::uint64_t state) noexcept { return static_cast<Share>(state >> 32U); }

    std::atomic<std::uint32_t> allowed_{all};
    std::atomic<std::uint64_t> state_{std::uint64_t{1} << 32U};  ///< limit's number, running
};

}  // namespace mobula::worker
