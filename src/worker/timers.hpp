// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "base/clock.hpp"

namespace mobula::worker {

/// What happens at a time; `expire` is called at most once, under the timers' lock, so it must be
/// short and may not touch the timers.
class Alarm {
public:
    virtual void expire() noexcept = 0;

protected:
    ~Alarm() = default;
};

/// Alarms in the order of their times. Thread-safe.
class Timers {
public:
    using Key = std::pair<Time, std::uint64_t>;

    /// The alarm must live until it expired or was removed. Tells whether it is now the first.
    std::pair<Key, bool> add(Time when, Alarm& alarm) {
        std::lock_guard guard(mutex_);
        const Key key{when, next_++};
        alarms_.emplace(key, &alarm);
        return {key, alarms_.begin()->first == key};
    }
    /// After it returns the alarm is not and will not be expiring.
    void remove(const Key& key) {
        std::lock_guard guard(mutex_);
        alarms_.erase(key);
    }
    /// Expires what is due; gives the time of the next one.
    std::optional<Time> run(Time now) {
        std::lock_guard guard(mutex_);
        while (!alarms_.empty() && alarms_.begin()->first.first <= now) {
            alarms_.begin()->second->expire();
            alarms_.erase(alarms_.begin());
        }
        if (alarms_.empty()) return std::nullopt;
        return alarms_.begin()->first.first;
    }

private:
    std::mutex mutex_;
    std::map<Key, Alarm*> alarms_;
    std::uint64_t next_ = 0;
};

}  // namespace mobula::worker
