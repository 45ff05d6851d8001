// SPDX-License-Identifier: Apache-2.0

/// A worker that has nothing to run: it drives the network, or sleeps.

#include <chrono>

#include "base/tsc.hpp"
#include "worker/worker.hpp"

namespace mobula::worker {

/// Polls for a while, then sleeps, until there may be something to do. What only concerns the
/// network does not end it: the communication thread need not hear of that.
void Worker::wait_for_work() {
    idle_.store(true, std::memory_order_relaxed);
    team_.idle_.fetch_add(1);
    while (!spin_for_work()) fall_asleep();
    last_poll_ = ticks_now();
    team_.polled_.store(last_poll_, std::memory_order_relaxed);
    team_.idle_.fetch_sub(1);
    idle_ends_.add(1);
    idle_.store(false);
    leave_network();
}

/// It is for the communication thread to see that the network is not forgotten.
void Worker::leave_network() noexcept {
    if (!team_.network_attended() && team_.watcher_asleep_.load() &&
        team_.watcher_asleep_.exchange(false)) {
        team_.wanted_.give();
    }
}

/// This may take long, so the worker is not idle meanwhile.
void Worker::do_chores_while_idle() noexcept {
    team_.idle_.fetch_sub(1);
    idle_.store(false);
    leave_network();
    do_chores();
    idle_.store(true);
    team_.idle_.fetch_add(1);
}

bool Worker::spin_for_work() {
    if (begins_tasks()) {
        team_.delegate_.idle();
    } else {
        team_.delegate_.look(Clock::now());  // sleeping ends when a look is due
    }
    std::uint64_t quiet_since = ticks_now();
    const std::uint64_t spin =
        static_cast<std::uint64_t>(team_.settings_.spin.count()) * ticks_per_microsecond();
    std::uint64_t now = quiet_since;
    do {
        const bool moved = team_.delegate_.poll();
        if (team_.delegate_.has_chores()) do_chores_while_idle();
        now = ticks_now();
        if (moved) quiet_since = now;  // a transfer goes on, say: the next bytes come soon
        if (sees_work(now)) return true;
    } while (now - quiet_since < spin);
    return false;
}

void Worker::fall_asleep() {
    const bool network = !team_.network_taken_.exchange(true);
    sleep_.store(network ? Sleep::network : Sleep::parked);
    team_.asleep_.fetch_add(1);
    if (!network) team_.parked_.fetch_add(1);
    // A thread that leaves the network after this look sees that a worker is parked.
    const bool network_free = !network && !team_.network_taken_.load();
    // A thread that pushes work after this look sees that a worker sleeps: both look under the lock
    // of the queue that the work goes through.
    if (!network_free && !anything_to_do()) {
        if (network) {
            team_.delegate_.sleep(Clock::now() + team_.settings_.tick);
        } else {
            // The communication thread has the network; it hands it over when it is nudged.
            team_.delegate_.wake_sleeper();
            parked_.acquire();
        }
    } else if (sleep_.exchange(Sleep::no) == Sleep::no && !network) {
        parked_.acquire();  // a wake-up is under way: take it
    }
    sleep_.store(Sleep::no);
    if (!network) team_.parked_.fetch_sub(1);
    team_.asleep_.fetch_sub(1);
    if (network) {
        team_.network_taken_.store(false);
        team_.delegate_.poll();
    }
}

bool Worker::wake_if_parked() noexcept {
    return sleep_.load() == Sleep::parked && wake_if_asleep();
}

bool Worker::wake_if_asleep() noexcept {
    Sleep seen = sleep_.load();
    if (seen == Sleep::no || !sleep_.compare_exchange_strong(seen, Sleep::no)) return false;
    if (seen == Sleep::network) {
        team_.delegate_.wake_sleeper();
    } else {
        parked_.release();
    }
    return true;
}

}  // namespace mobula::worker
