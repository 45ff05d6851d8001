// SPDX-License-Identifier: Apache-2.0

// Goal: what waits on a fiber resumes when it is woken, with its frame and its exceptions, and a
// team ends with all that was suspended. Method: a real team over a fake rank; threads wake what
// its tasks suspend; every wait has a deadline.

#include "worker/team.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <mobula/error.hpp>

#include "worker/fake_delegate.hpp"

namespace mobula::worker {
namespace {

using namespace std::chrono_literals;
using Semaphore = std::counting_semaphore<>;

/// A wait of a fiber that other threads end.
struct Nap {
    explicit Nap(Team& team) : sleeper(team.sleeper(thread)) {}
    std::binary_semaphore thread{0};
    Sleeper sleeper;
};

TEST(team, suspends_and_resumes_from_other_threads) {
    for (const unsigned workers : {1U, 3U}) {
        RunningTeam running(team_settings(workers));
        constexpr int tasks = 200, naps = 20;
        std::mutex mutex;
        std::vector<Sleeper> sleeping;
        Semaphore any{0}, done{0};
        std::atomic<bool> over{false};
        const auto waker = [&](unsigned seed) {
            std::mt19937 random(seed);
            while (!over.load()) {
                if (!any.try_acquire_for(10ms)) continue;
                Sleeper chosen;
                {
                    std::lock_guard guard(mutex);
                    std::swap(sleeping[random() % sleeping.size()], sleeping.back());
                    chosen = sleeping.back();
                    sleeping.pop_back();
                }
                Team::wake(chosen);
            }
        };
        std::vector<std::thread> wakers;
        for (unsigned i = 0; i < 2; ++i) wakers.emplace_back(waker, i);
        for (int i = 0; i < tasks; ++i) {
            running.team.push(make_job([&] {
                const unsigned worker = Team::worker_number();
                for (int n = 0; n < naps; ++n) {
                    Nap nap(running.team);
                    {
                        std::lock_guard guard(mutex);
                        sleeping.push_back(nap.sleeper);
                    }
                    any.release();
                    running.team.sleep(nap.sleeper);
                    if (Team::worker_number() != worker) std::abort();  // fibers do not move
                }
                done.release();
            }));
        }
        for (int i = 0; i < tasks; ++i) expect_soon(done, "a task that naps");
        over = true;
        for (std::thread& thread : wakers) thread.join();
        EXPECT_EQ(running.team.suspended(), 0U);
    }
}

TEST(team, refuses_a_sleeper_for_whom_there_is_no_fiber) {
    for (const auto limit : {&Settings::suspended_max, &Settings::fibers_max}) {
        constexpr int sleepers = 3;
        Settings given = team_settings(1);
        given.*limit = sleepers;
        RunningTeam running(given);
        std::vector<Sleeper> sleeping;
        Semaphore woken{0}, refused{0};
        for (int i = 0; i < sleepers; ++i) {
            running.team.push(make_job([&] {
                Nap nap(running.team);
                sleeping.push_back(nap.sleeper);
                running.team.sleep(nap.sleeper);
                running.team.yield();
                woken.release();
            }));
        }
        running.team.push(make_job([&] {
            try {
                const Nap nap(running.team);
            } catch (const Error&) {
                running.team.yield();  // there is nobody to give way to
                refused.release();
            }
        }));
        expect_soon(refused, "a sleeper that is one too many");
        for (const Sleeper& sleeper : sleeping) Team::wake(sleeper);
        for (int i = 0; i < sleepers; ++i) expect_soon(woken, "a task that sleeps");
    }
}

TEST(team, wakes_threads_that_are_not_its_own) {
    RunningTeam running(team_settings(1));
    for (int i = 0; i < 500; ++i) {
        Nap nap(running.team);
        ASSERT_EQ(nap.sleeper.worker, nullptr);
        running.team.push(make_job([&] { Team::wake(nap.sleeper); }));
        running.team.sleep(nap.sleeper);
    }
}

TEST(team, yields_to_what_is_ready) {
    RunningTeam running(team_settings(1));
    Semaphore done{0};
    std::vector<int> order;
    running.team.push(make_job([&] {
        running.team.push(make_job([&] { order.push_back(1); }));
        running.team.push(make_job([&] { order.push_back(2); }));
        while (order.size() < 2) running.team.yield();
        done.release();
    }));
    expect_soon(done, "the task that yields");
    EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST(team, keeps_frames_with_their_fibers) {
    RunningTeam running(team_settings(1));
    Semaphore done{0};
    for (int i = 0; i < 50; ++i) {
        running.team.push(make_job([&] {
            int own = 0;
            auto* const mine = reinterpret_cast<Frame*>(&own);
            Team::frame() = mine;
            for (int n = 0; n < 20; ++n) {
                running.team.yield();
                if (Team::frame() != mine) std::abort();
            }
            Team::frame() = nullptr;
            done.release();
        }));
    }
    for (int i = 0; i < 50; ++i) expect_soon(done, "a task that yields");
}

TEST(team, handles_exceptions_across_suspensions) {
    RunningTeam running(team_settings(2));
    Semaphore done{0};
    std::atomic<int> right{0};
    for (int i = 0; i < 200; ++i) {
        running.team.push(make_job([&, i] {
            try {
                try {
                    throw std::runtime_error("outer " + std::to_string(i));
                } catch (const std::exception&) {
                    running.team.yield();
                    try {
                        throw std::runtime_error("inner " + std::to_string(i));
                    } catch (const std::exception& inner) {
                        running.team.yield();
                        if (inner.what() == "inner " + std::to_string(i)) right.fetch_add(1);
                    }
                    throw;
                }
            } catch (const std::exception& outer) {
                if (outer.what() == "outer " + std::to_string(i)) right.fetch_add(1);
            }
            done.release();
        }));
    }
    for (int i = 0; i < 200; ++i) expect_soon(done, "a task that throws");
    EXPECT_EQ(right.load(), 400);
}

TEST(team, ends_after_all_that_was_suspended_has_ended) {
    for (const unsigned workers : {1U, 3U}) {
        RunningTeam running(team_settings(workers));
        constexpr int tasks = 100;
        std::mutex mutex;
        std::vector<Sleeper> sleeping;
        Semaphore asleep{0};
        std::atomic<int> ended{0};
        for (int i = 0; i < tasks; ++i) {
            running.team.push(make_job([&] {
                Nap nap(running.team);
                {
                    std::lock_guard guard(mutex);
                    sleeping.push_back(nap.sleeper);
                }
                asleep.release();
                running.team.sleep(nap.sleeper);
                if (running.team.stopping()) ended.fetch_add(1);
            }));
        }
        for (int i = 0; i < tasks; ++i) expect_soon(asleep, "a task that sleeps");
        running.team.stop();
        for (const Sleeper& sleeper : sleeping) Team::wake(sleeper);
        running.stop();
        EXPECT_EQ(ended.load(), tasks);
    }
}

}  // namespace
}  // namespace mobula::worker
