// SPDX-License-Identifier: Apache-2.0

// Goal: a team runs every task once, loses no wake-up, always has a thread at the network, and uses
// no CPU while idle. Method: a real team over a fake rank whose network is a list of functions;
// threads push, wake and send; every wait has a deadline.

#include "worker/team.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "worker/fake_delegate.hpp"

namespace mobula::worker {
namespace {

using namespace std::chrono_literals;
using Semaphore = std::counting_semaphore<>;

TEST(team, runs_each_task_once_whoever_pushes_it) {
    for (const unsigned workers : {1U, 2U, 4U}) {
        RunningTeam running(team_settings(workers));
        constexpr std::size_t threads = 3, each = 2000;
        std::vector<std::atomic<int>> runs(threads * each * 2);
        Semaphore done{0};
        std::atomic<std::size_t> left{runs.size()};
        const auto count = [&](std::size_t which) {
            runs[which].fetch_add(1);
            if (left.fetch_sub(1) == 1) done.release();
        };
        std::vector<std::thread> pushers;
        for (std::size_t t = 0; t < threads; ++t) {
            pushers.emplace_back([&, t] {
                for (std::size_t i = t * each; i < (t + 1) * each; ++i) {
                    Task& task = make_job([&, i] {
                        count(i);
                        running.team.push_next(make_job([&, i] { count(threads * each + i); }));
                    });
                    task.bound = i % 5 == 0;
                    running.team.push(task);
                }
            });
        }
        for (std::thread& pusher : pushers) pusher.join();
        expect_soon(done, "the last task");
        for (const auto& run : runs) ASSERT_EQ(run.load(), 1);
    }
}

TEST(team, loses_no_wake_up) {
    for (const unsigned workers : {1U, 2U, 3U}) {
        for (const auto spin : {0us, 5us}) {
            RunningTeam running(team_settings(workers, spin));
            Semaphore done{0};
            // One at a time, so that the workers go to sleep in between.
            for (int i = 0; i < 2000; ++i) {
                Task& task = make_job([&] { done.release(); });
                task.bound = i % 2 == 0;
                running.team.push(task);
                expect_soon(done, "a task that was pushed alone");
            }
        }
    }
}

TEST(team, takes_what_a_busy_worker_does_not_get_to) {
    // So long a spin that nobody sleeps: who polls must see the others' tasks all the same.
    RunningTeam running(team_settings(3, 1h));
    for (const int tasks : {1, 2, 5}) {
        Semaphore begun{0}, over{0};
        running.team.push(make_job([&] {
            for (int i = 0; i < tasks; ++i) {
                running.team.push_next(make_job([&] { begun.release(); }));
            }
            for (int i = 0; i < tasks; ++i) expect_soon(begun, "a task beside a busy worker");
            over.release();
        }));
        expect_soon(over, "the busy task");
    }
}

TEST(team, hears_the_network_while_it_is_idle) {
    RunningTeam running(team_settings(2));
    Semaphore done{0};
    for (int i = 0; i < 1000; ++i) {
        running.delegate.arrive([&] { done.release(); });
        expect_soon(done, "an event of the network");
    }
}

TEST(team, hears_the_network_while_some_or_all_workers_are_busy) {
    for (const unsigned workers : {1U, 2U, 3U}) {
        for (unsigned busy = 1; busy <= workers; ++busy) {
            RunningTeam running(team_settings(workers));
            for (int round = 0; round < 20; ++round) {
                // The worker that slept at the network may be one of those that get busy.
                Semaphore begun{0}, end{0}, ended{0}, heard{0};
                for (unsigned i = 0; i < busy; ++i) {
                    running.team.push(make_job([&] {
                        begun.release();
                        expect_soon(end, "the end of a long task");
                        ended.release();
                    }));
                }
                for (unsigned i = 0; i < busy; ++i) expect_soon(begun, "a long task");
                for (int event = 0; event < 3; ++event) {
                    running.delegate.arrive([&] { heard.release(); });
                    const auto before = Clock::now();
                    expect_soon(heard, "an event beside long tasks");
                    EXPECT_LT(Clock::now() - before, 10s);
                }
                end.release(busy);
                for (unsigned i = 0; i < busy; ++i) expect_soon(ended, "the end of a task");
            }
        }
    }
}

/// Until there were so many more ticks; how many there were.
std::uint64_t wait_for_ticks(const FakeDelegate& delegate, std::uint64_t more) {
    const std::uint64_t first = delegate.ticks.load();
    const Time deadline = Clock::now() + patience;
    while (delegate.ticks.load() < first + more && Clock::now() < deadline) {
        std::this_thread::yield();
    }
    return delegate.ticks.load() - first;
}

Settings ticking_often(unsigned workers) {
    Settings given = team_settings(workers);
    given.tick = 20ms;
    return given;
}

/// Past what is special about the start.
void warm_up(RunningTeam& running) {
    Semaphore warm{0};
    running.team.push(make_job([&] { warm.release(); }));
    expect_soon(warm, "the first task");
    wait_for_ticks(running.delegate, 10);
}

TEST(team, an_idle_one_does_next_to_nothing) {
    RunningTeam running(ticking_often(2));
    warm_up(running);
    const std::uint64_t polls = running.delegate.polls.load();
    const std::uint64_t sleeps = running.delegate.sleeps.load();
    const std::uint64_t ticks = wait_for_ticks(running.delegate, 20);
    ASSERT_GE(ticks, 20U);
    EXPECT_LE(running.delegate.polls.load() - polls, ticks * 12);
    EXPECT_LE(running.delegate.sleeps.load() - sleeps, ticks * 4);
}

TEST(team, runs_no_more_usual_tasks_at_once_than_it_is_allowed) {
    RunningTeam running(ticking_often(3));
    warm_up(running);
    for (const unsigned allowed : {1U, 2U, 3U, 1U}) {
        running.team.allow_usual(allowed);
        std::atomic<unsigned> inside{0}, most{0};
        Semaphore done{0};
        for (int i = 0; i < 200; ++i) {
            running.team.push(make_job([&] {
                const unsigned now = ++inside;
                for (unsigned seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
                }
                std::this_thread::yield();
                --inside;
                done.release();
            }));
        }
        for (int i = 0; i < 200; ++i) expect_soon(done, "a task while few are allowed");
        EXPECT_LE(most.load(), allowed);
    }
}

TEST(team, runs_only_what_has_its_cpus_while_no_usual_task_is_allowed) {
    RunningTeam running(ticking_often(2));
    warm_up(running);
    running.team.allow_usual(0);
    std::atomic<int> run{0};
    Semaphore usual{0}, call{0};
    for (int i = 0; i < 100; ++i) {
        running.team.push(make_job([&] {
            ++run;
            usual.release();
        }));
    }
    for (int i = 0; i < 100; ++i) {
        Task& task = make_job([&] { call.release(); });
        task.bound = task.here = true;
        running.team.push(task);
        expect_soon(call, "a call while no usual task is allowed");
    }
    // Those that wait keep nobody awake.
    const std::uint64_t polls = running.delegate.polls.load();
    const std::uint64_t ticks = wait_for_ticks(running.delegate, 20);
    EXPECT_LE(running.delegate.polls.load() - polls, ticks * 12);
    EXPECT_EQ(run.load(), 0);
    running.team.allow_usual(2);
    for (int i = 0; i < 100; ++i) expect_soon(usual, "a task that is allowed again");
}

TEST(team, lets_usual_tasks_wait_for_each_other_where_one_is_allowed) {
    RunningTeam running(ticking_often(2));
    running.team.allow_usual(1);
    Semaphore done{0};
    for (int i = 0; i < 100; ++i) {
        running.team.push(make_job([&] {
            std::binary_semaphore unused{0};
            const Sleeper self = running.team.sleeper(unused);
            running.team.push(make_job([self] { Team::wake(self); }));
            running.team.sleep(self);
            running.team.yield();
            done.release();
        }));
    }
    for (int i = 0; i < 100; ++i) expect_soon(done, "a task that waits for another");
}

// Where ranks share a CPU, each needless wake-up keeps another rank from it.
TEST(team, an_idle_one_hears_the_network_on_one_thread) {
    RunningTeam running(ticking_often(1));
    warm_up(running);
    const std::uint64_t ticks = running.delegate.ticks.load();
    const std::uint64_t sleeps = running.delegate.ticker_sleeps.load();
    Semaphore heard{0};
    for (int i = 0; i < 40; ++i) {
        running.delegate.arrive([&] { heard.release(); });
        expect_soon(heard, "an event of the network");
        wait_for_ticks(running.delegate, 1);
    }
    const auto ticked = static_cast<double>(running.delegate.ticks.load() - ticks);
    const auto slept = static_cast<double>(running.delegate.ticker_sleeps.load() - sleeps);
    EXPECT_LE(slept, 1.5 * ticked) << "once for each tick, and not for each event";
}

// Each nudge costs the worker a call of the kernel and, where threads share a CPU, the time of a
// switch: more than the task.
TEST(team, a_worker_with_short_tasks_seldom_nudges_the_communication_thread) {
    Settings given = ticking_often(1);
    given.spin = 1h;
    RunningTeam running(given);
    warm_up(running);
    const std::uint64_t sleeps = running.delegate.ticker_sleeps.load();
    const Time begin = Clock::now();
    constexpr int rounds = 10, tasks = 5000;
    for (int round = 0; round < rounds; ++round) {
        wait_for_ticks(running.delegate, 2);  // so calm that the communication thread sleeps
        std::atomic<int> done{0};
        for (int i = 0; i < tasks; ++i) {
            running.team.push(make_job([&] { done.fetch_add(1); }));
            while (done.load() <= i) {
            }
        }
    }
    wait_for_ticks(running.delegate, 1);
    const auto slept = static_cast<double>(running.delegate.ticker_sleeps.load() - sleeps);
    // Naps are half a millisecond, and a nudge ends the sleep after twenty of them.
    const std::chrono::duration<double, std::milli> took = Clock::now() - begin;
    EXPECT_LE(slept, 4 * took.count()) << rounds * tasks << " tasks in " << took.count() << " ms";
}

// Whichever queue they are in: bound to the rank, free to go, or made ready by the worker itself.
TEST(team, takes_the_higher_priority_first) {
    RunningTeam running(team_settings(1));
    Semaphore done{0};
    std::vector<int> order;
    const std::vector<int> priorities = {0, -5, 5, 0, -1, 7, 5, 0, 7, -5, 100, 0};
    const auto job = [&](int priority) -> Task& {
        Task& task = make_job([&, priority] {
            order.push_back(priority);
            if (order.size() == 3 * priorities.size()) done.release();
        });
        if (priority != 0) graph::extra_of(task).options.priority = priority;
        return task;
    };
    running.team.push(make_job([&] {
        for (const int priority : priorities) {
            Task& bound = job(priority);
            bound.bound = true;
            running.team.push(bound);
            running.team.push(job(priority));
            running.team.push_next(job(priority));
        }
    }));
    expect_soon(done, "the last task");
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end(), std::greater<>()))
        << ::testing::PrintToString(order);
}

TEST(team, drops_what_was_not_begun_when_it_stops) {
    RunningTeam running(team_settings(1));
    Semaphore begun{0}, end{0};
    std::atomic<int> run{0};
    running.team.push(make_job([&] {
        begun.release();
        expect_soon(end, "the end of the first task");
    }));
    expect_soon(begun, "the first task");
    for (int i = 0; i < 10; ++i) running.team.push(make_job([&] { run.fetch_add(1); }));
    running.team.stop();
    end.release();
    running.stop();
    EXPECT_EQ(run.load(), 0);
}

TEST(team, starts_and_stops_often) {
    for (int i = 0; i < 100; ++i) {
        RunningTeam running(team_settings(1 + static_cast<unsigned>(i) % 3));
    }
}

TEST(team, rings_alarms) {
    struct Bell final : Alarm {
        void expire() noexcept override { rung.release(); }
        Semaphore rung{0};
    };
    RunningTeam running(team_settings(1));
    for (int i = 0; i < 50; ++i) {
        Bell bell;
        const auto [key, first] = running.team.timers().add(Clock::now() + 1ms, bell);
        if (first) running.team.timers_changed();
        expect_soon(bell.rung, "an alarm");
        running.team.timers().remove(key);
    }
}

}  // namespace
}  // namespace mobula::worker
