// SPDX-License-Identifier: Apache-2.0

// Goal: a fiber that wants to go on at a time finds its worker free, as far as other workers can
// run what is ready; nothing waits for ever for that; and the first worker, where it is alone, runs
// no task. Method: fibers that sleep with such a time while tasks are pushed; which worker ran each
// task is noted. The times are long over or far away, so that how fast the machine is does not
// matter.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <vector>

#include "worker/fake_delegate.hpp"
#include "worker/team.hpp"

namespace mobula::worker {
namespace {

using namespace std::chrono_literals;
using Semaphore = std::counting_semaphore<>;

Settings settings(unsigned workers) {
    Settings given;
    given.workers = workers;
    given.spin = 0us;
    given.stack_bytes = std::size_t{128} << 10U;
    given.stuck_after = 1h;
    return given;
}

/// A fiber on a worker of its own that sleeps until the end of the scope.
class Sleeping {
public:
    /// After `hold`, if there is one, so that others get other workers.
    Sleeping(Team& team, Time back_by, Semaphore* hold = nullptr) : team_(team) {
        team.push(make_job([this, back_by, hold] {
            worker = Team::worker_number();
            begun.release();
            if (hold != nullptr) expect_soon(*hold, "the others");
            std::binary_semaphore thread{0};
            const Sleeper self = team_.sleeper(thread);
            sleeper_ = self;
            asleep_.release();
            team_.sleep(self, back_by);
            awake.release();
        }));
    }
    ~Sleeping() {
        Team::wake(sleeper_);
        expect_soon(awake, "a fiber that was woken");
    }
    void expect_asleep() { expect_soon(asleep_, "a fiber that sleeps"); }

    Semaphore begun{0}, awake{0};
    unsigned worker = 0;

private:
    Team& team_;
    Sleeper sleeper_;
    Semaphore asleep_{0};
};

/// The workers that run so many tasks.
std::vector<unsigned> workers_of(Team& team, std::size_t tasks) {
    std::vector<unsigned> workers(tasks);
    Semaphore done{0};
    for (unsigned& worker : workers) {
        Task& task = make_job([&] {
            worker = Team::worker_number();
            done.release();
        });
        const auto number = static_cast<std::size_t>(&worker - workers.data());
        task.bound = number % 3 != 0;
        task.here = number % 3 == 1;
        team.push(task);
    }
    for (std::size_t i = 0; i < tasks; ++i) expect_soon(done, "a task beside one that sleeps");
    return workers;
}

TEST(back_by, leaves_tasks_to_others) {
    for (const unsigned workers : {2U, 4U}) {
        RunningTeam running(settings(workers));
        for (int round = 0; round < 20; ++round) {
            Sleeping sleeping(running.team, Clock::now());
            sleeping.expect_asleep();
            const std::vector<unsigned> ran = workers_of(running.team, 50);
            EXPECT_EQ(std::count(ran.begin(), ran.end(), sleeping.worker), 0);
        }
    }
}

TEST(back_by, begins_tasks_when_there_is_no_other_worker) {
    RunningTeam running(settings(1));
    Sleeping sleeping(running.team, Clock::now());
    sleeping.expect_asleep();
    EXPECT_EQ(workers_of(running.team, 10), std::vector<unsigned>(10, 0));
}

TEST(back_by, begins_tasks_when_its_time_is_far_away) {
    RunningTeam running(settings(2));
    Sleeping sleeping(running.team, Clock::now() + 24h);
    sleeping.expect_asleep();
    Semaphore begun{0}, end{0}, ended{0};
    running.team.push(make_job([&] {
        const unsigned other = Team::worker_number();
        begun.release();
        // Held by this task, or by the one that sleeps.
        EXPECT_LT(other, 2U);
        expect_soon(end, "the end of a long task");
        ended.release();
    }));
    expect_soon(begun, "a long task");
    static_cast<void>(workers_of(running.team, 10));
    end.release();
    expect_soon(ended, "the end of a long task");
}

TEST(back_by, of_many_the_one_that_is_back_last_begins_tasks) {
    for (const bool same_time : {false, true}) {
        RunningTeam running(settings(3));
        const Time now = Clock::now();
        Semaphore hold{0};
        const Time last = same_time ? now : now + 2s;
        Sleeping a(running.team, now, &hold), b(running.team, last, &hold),
            c(running.team, same_time ? now : now + 1s, &hold);
        for (Sleeping* one : {&a, &b, &c}) expect_soon(one->begun, "a task on each worker");
        hold.release(3);
        for (Sleeping* one : {&a, &b, &c}) one->expect_asleep();
        const unsigned highest = std::max({a.worker, b.worker, c.worker});
        // What is pushed before the last of them has left its stack, it may begin itself.
        static_cast<void>(workers_of(running.team, 1));
        EXPECT_EQ(workers_of(running.team, 20),
                  std::vector<unsigned>(20, same_time ? highest : b.worker));
    }
}

// It was not woken for a task that it was not to begin, and is to begin it after all.
TEST(back_by, begins_tasks_when_another_one_has_to_be_back_before) {
    Settings given = settings(2);
    given.tick = 1h;
    for (int round = 0; round < 200; ++round) {
        RunningTeam running(given);
        Sleeping later(running.team, Clock::now());
        later.expect_asleep();
        Semaphore done{0};
        Sleeper sleeper;
        Semaphore over{0};
        running.team.push(make_job([&] {
            running.team.push(make_job([&] { done.release(); }));
            std::binary_semaphore thread{0};
            sleeper = running.team.sleeper(thread);
            running.team.sleep(sleeper, Clock::now() - 1h);
            over.release();
        }));
        expect_soon(done, "a task that was left to a worker with an earlier time");
        Team::wake(sleeper);
        expect_soon(over, "a fiber that was woken");
    }
}

TEST(back_by, begins_tasks_when_the_others_do_not_get_to_them) {
    Settings given = settings(3);
    given.stuck_after = 1ms;
    RunningTeam running(given);
    Sleeping sleeping(running.team, Clock::now());
    sleeping.expect_asleep();
    Semaphore begun{0}, end{0}, ended{0};
    for (int i = 0; i < 2; ++i) {
        running.team.push(make_job([&] {
            begun.release();
            expect_soon(end, "the end of a long task");
            ended.release();
        }));
    }
    for (int i = 0; i < 2; ++i) expect_soon(begun, "a long task");
    EXPECT_EQ(workers_of(running.team, 5), std::vector<unsigned>(5, sleeping.worker));
    end.release(2);
    for (int i = 0; i < 2; ++i) expect_soon(ended, "the end of a long task");
}

TEST(back_by, counts_as_idle_who_would_begin_a_task) {
    RunningTeam running(settings(2));
    {
        Sleeping sleeping(running.team, Clock::now());
        sleeping.expect_asleep();
        const Time deadline = Clock::now() + patience;
        while (running.team.busy() && Clock::now() < deadline) std::this_thread::yield();
        EXPECT_FALSE(running.team.busy());
        EXPECT_EQ(running.team.idle_workers(), 1U);
    }
    const Time deadline = Clock::now() + patience;
    while (running.team.idle_workers() != 2 && Clock::now() < deadline) std::this_thread::yield();
    EXPECT_EQ(running.team.idle_workers(), 2U);
}

TEST(back_by, counts_as_idle_a_worker_that_could_begin_no_task_when_it_became_idle) {
    RunningTeam running(settings(2));
    Semaphore hold{0};
    Sleeping later(running.team, Clock::now() + 1h);
    later.expect_asleep();
    Sleeping sooner(running.team, Clock::now(), &hold);
    expect_soon(sooner.begun, "the second task");
    hold.release();
    sooner.expect_asleep();
    const Time deadline = Clock::now() + patience;
    while (running.team.busy() && Clock::now() < deadline) std::this_thread::yield();
    EXPECT_EQ(running.team.idle_workers(), 1U);
}

/// A team whose first worker is alone and sleeps.
class Alone {
public:
    explicit Alone(unsigned workers) : team(with_first(workers), delegate_) {
        thread_ = std::thread([this] {
            team.run([this] {
                worker = Team::worker_number();
                std::binary_semaphore thread{0};
                sleeper_ = team.sleeper(thread);
                asleep_.release();
                team.sleep(sleeper_);
                awake.release();
            });
        });
        expect_soon(asleep_, "the first worker");
    }
    ~Alone() {
        team.stop();
        thread_.join();
    }
    void wake() { Team::wake(sleeper_); }

private:
    static Settings with_first(unsigned workers) {
        Settings given = settings(workers);
        given.first_alone = true;
        return given;
    }
    FakeDelegate delegate_;
    Sleeper sleeper_;
    Semaphore asleep_{0};
    std::thread thread_;

public:
    Team team;
    unsigned worker = 0;
    Semaphore awake{0};
};

TEST(back_by, the_first_worker_runs_no_tasks_where_it_is_alone) {
    for (const unsigned workers : {1U, 2U}) {
        Alone alone(workers);
        EXPECT_EQ(alone.team.workers(), workers);
        EXPECT_EQ(alone.worker, workers);
        const std::vector<unsigned> ran = workers_of(alone.team, 100);
        EXPECT_LT(*std::max_element(ran.begin(), ran.end()), workers);
        // It goes on while all others are busy.
        Semaphore begun{0}, end{0}, ended{0};
        for (unsigned i = 0; i < workers; ++i) {
            alone.team.push(make_job([&] {
                begun.release();
                expect_soon(end, "the end of a long task");
                ended.release();
            }));
        }
        for (unsigned i = 0; i < workers; ++i) expect_soon(begun, "a long task");
        alone.wake();
        expect_soon(alone.awake, "the first worker beside long tasks");
        end.release(workers);
        for (unsigned i = 0; i < workers; ++i) expect_soon(ended, "the end of a long task");
    }
}

}  // namespace
}  // namespace mobula::worker
