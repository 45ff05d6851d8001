// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <semaphore>

#include "worker/team.hpp"

namespace mobula::runtime {

/// One sleep that ends when enough has happened, or by an interruption, whichever is first; woken
/// exactly once. Lives on the sleeper's stack: whoever may still touch it is waited for by its
/// owner (see Waits). Thread-safe, apart from sleep().
class Gathering final : public worker::Alarm {
public:
    enum Reason : std::uint64_t {
        timed_out = std::uint64_t{1} << 32U,
        cancelled = std::uint64_t{1} << 33U,
        job_ends = std::uint64_t{1} << 34U,
    };

    /// Throws Error when too many wait already: to be made before anything else knows of the wait.
    Gathering(worker::Team& team, std::uint64_t target)
        : team_(team), sleeper_(team.sleeper(thread_)), target_(target) {}

    /// One of the things has happened. The gathering may be gone when this returns.
    void arrive() noexcept {
        const worker::Sleeper sleeper = sleeper_;
        const std::uint64_t target = target_;
        const std::uint64_t before = state_.fetch_add(1, std::memory_order_acq_rel);
        if (before + 1 == target) worker::Team::wake(sleeper);
    }
    void interrupt(Reason reason) noexcept {
        const worker::Sleeper sleeper = sleeper_;
        const std::uint64_t target = target_;
        const std::uint64_t before = state_.fetch_or(reason, std::memory_order_acq_rel);
        if (before < target) worker::Team::wake(sleeper);
    }
    void expire() noexcept override { interrupt(timed_out); }

    /// Once, by the owner; returns when it was woken, which it will be at the time, if there is
    /// one.
    void sleep(std::optional<Time> deadline) noexcept { team_.sleep(sleeper_, deadline); }

    [[nodiscard]] std::uint64_t arrived() const noexcept {
        return state_.load(std::memory_order_acquire) & 0xFFFFFFFFU;
    }
    [[nodiscard]] std::uint64_t target() const noexcept { return target_; }
    [[nodiscard]] bool was(Reason reason) const noexcept {
        return (state_.load(std::memory_order_acquire) & reason) != 0;
    }

private:
    worker::Team& team_;
    std::binary_semaphore thread_{0};
    worker::Sleeper sleeper_;
    std::uint64_t target_;
    std::atomic<std::uint64_t> state_{0};  // arrivals below, reasons above
};

}  // namespace mobula::runtime
