// SPDX-License-Identifier: Apache-2.0

// Goal: a sleep that arrivals, a time-out and a cancelling end is woken exactly once, whichever
// comes first. Method: every order of the events on one thread, then the same from threads; a
// second wake-up would be found in the semaphore or lets the next sleep end too early.

#include "runtime/gathering.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <thread>
#include <vector>

#include "worker/fake_delegate.hpp"

namespace mobula::runtime {
namespace {

/// A team that need not run: the sleepers are threads of the test.
struct Still {
    worker::FakeDelegate delegate;
    worker::Team team{worker::Settings{}, delegate};
};

enum class Event : std::uint8_t { arrive, time_out, cancel };

void tell(Gathering& gathering, Event event) {
    switch (event) {
        case Event::arrive: return gathering.arrive();
        case Event::time_out: return gathering.expire();
        case Event::cancel: return gathering.interrupt(Gathering::cancelled);
    }
}

TEST(gathering, ends_in_every_order_of_events) {
    Still still;
    std::array<Event, 5> events{Event::arrive, Event::arrive, Event::arrive, Event::time_out,
                                Event::cancel};
    do {
        for (std::uint64_t target = 1; target <= 3; ++target) {
            Gathering gathering(still.team, target);
            std::uint64_t arrived = 0;
            for (const Event event : events) {
                tell(gathering, event);
                arrived += event == Event::arrive ? 1 : 0;
                EXPECT_EQ(gathering.arrived(), arrived);
            }
            gathering.sleep({});  // was woken, so it does not wait
            EXPECT_TRUE(gathering.was(Gathering::timed_out));
            EXPECT_TRUE(gathering.was(Gathering::cancelled));
            EXPECT_FALSE(gathering.was(Gathering::job_ends));
        }
    } while (std::next_permutation(events.begin(), events.end()));
}

TEST(gathering, is_woken_once_when_threads_race) {
    worker::RunningTeam running(worker::Settings{.workers = 2});
    std::counting_semaphore<> done{0};
    std::atomic<int> early{0};
    constexpr int rounds = 500;
    running.team.push(worker::make_job([&] {
        for (int round = 0; round < rounds; ++round) {
            const auto target = static_cast<std::uint64_t>(1 + round % 3);
            Gathering gathering(running.team, target);
            std::atomic<int> left{5};
            std::vector<std::thread> threads;
            for (int i = 0; i < 5; ++i) {
                threads.emplace_back([&gathering, &left, i] {
                    tell(gathering, i < 3    ? Event::arrive
                                    : i == 3 ? Event::time_out
                                             : Event::cancel);
                    left.fetch_sub(1);
                });
            }
            gathering.sleep({});
            for (std::thread& thread : threads) thread.join();
            // One wake-up too many would end this sleep before its only arrival.
            Gathering next(running.team, 1);
            running.team.push(worker::make_job([&next] { next.arrive(); }));
            next.sleep({});
            if (next.arrived() != 1) early.fetch_add(1);
        }
        done.release();
    }));
    worker::expect_soon(done, "the last round");
    EXPECT_EQ(early.load(), 0);
}

}  // namespace
}  // namespace mobula::runtime
