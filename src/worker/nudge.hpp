// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/clock.hpp"

namespace mobula::worker {

/// Wakes one thread that waits with a deadline; nudges that it has not noticed yet are one.
/// A semaphore would do, but libstdc++ 12's waits with a deadline by naps that grow up to 64 ms,
/// and so would be as late.
///
/// give() is thread-safe, wait_until() is for one thread.
class Nudge {
public:
    void give() noexcept {
        {
            std::lock_guard guard(mutex_);
            given_ = true;
        }
        changed_.notify_one();
    }

    /// Until a nudge was given, if only before, or the deadline has passed; whether one was.
    bool wait_until(Time deadline) {
        std::unique_lock guard(mutex_);
        changed_.wait_until(guard, deadline, [this] { return given_; });
        return std::exchange(given_, false);
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool given_ = false;
};

}  // namespace mobula::worker
