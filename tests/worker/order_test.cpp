// SPDX-License-Identifier: Apache-2.0

// Goal: what is ready begins in the order of its priorities, which are any ints; calls of actors
// begin before tasks of their priority, and neither keeps the other from beginning. Method: one
// worker, behind whose first task everything queues up, in each of the queues; the order in which
// it begins is compared with the right one.

#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <functional>
#include <string>
#include <vector>

#include "worker/fake_delegate.hpp"
#include "worker/team.hpp"

namespace mobula::worker {
namespace {

using Semaphore = std::counting_semaphore<>;

enum class Queue { bound, free, own, call };
constexpr Queue queues[] = {Queue::bound, Queue::free, Queue::own, Queue::call};

void push(Team& team, Task& task, Queue queue, int priority = 0) {
    if (priority != 0) graph::extra_of(task).options.priority = priority;
    task.bound = queue == Queue::bound || queue == Queue::call;
    task.here = queue == Queue::call;
    if (queue == Queue::own) {
        team.push_next(task);
    } else {
        team.push(task);
    }
}

struct Begun {
    Queue queue;
    int priority;
};

/// One of each on a team of one worker; the order in which they begin.
std::vector<Begun> order_of(const std::vector<Begun>& pushed) {
    Settings settings;
    settings.stack_bytes = std::size_t{128} << 10U;
    RunningTeam running(settings);
    Semaphore done{0};
    std::vector<Begun> order;
    running.team.push(make_job([&] {
        for (const Begun& one : pushed) {
            Task& task = make_job([&, one] {
                order.push_back(one);
                if (order.size() == pushed.size()) done.release();
            });
            push(running.team, task, one.queue, one.priority);
        }
    }));
    expect_soon(done, "the last task");
    return order;
}

TEST(order, every_int_is_a_priority) {
    for (const Queue queue : queues) {
        for (const int priority : {INT_MIN, INT_MIN + 1, -1, 0, 1, INT_MAX - 1, INT_MAX}) {
            const std::vector<Begun> order = order_of({{queue, priority}});
            ASSERT_EQ(order.size(), 1U);
        }
    }
}

TEST(order, a_higher_priority_begins_first_whichever_queue_it_is_in) {
    std::vector<Begun> pushed;
    for (const int priority : {0, INT_MIN, 5, -1, INT_MAX, 0, 7, INT_MIN, 5, INT_MIN + 1}) {
        for (const Queue queue : queues) pushed.push_back({queue, priority});
    }
    const std::vector<Begun> order = order_of(pushed);
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end(), [](const Begun& a, const Begun& b) {
        return a.priority > b.priority;
    }));
}

TEST(order, calls_begin_before_the_tasks_of_their_priority) {
    for (const int priority : {INT_MIN, -1, 0, 1, INT_MAX}) {
        std::vector<Begun> pushed;
        for (int i = 0; i < 10; ++i) {
            for (const Queue queue : queues) pushed.push_back({queue, priority});
        }
        const std::vector<Begun> order = order_of(pushed);
        for (std::size_t i = 0; i < order.size(); ++i) {
            ASSERT_EQ(order[i].queue == Queue::call, i < 10) << "priority " << priority;
        }
    }
}

/// Calls of which each makes the next one ready, with tasks that are ready all the time: how many
/// calls begin before each of them.
std::vector<int> calls_before_tasks(Queue queue, int call_priority, int task_priority) {
    constexpr std::size_t tasks = 5;
    constexpr int calls_max = 2000;
    Settings settings;
    settings.stack_bytes = std::size_t{128} << 10U;
    RunningTeam running(settings);
    Semaphore done{0};
    std::vector<int> before;
    int calls = 0;
    const std::function<void()> call = [&] {
        if (++calls == calls_max || before.size() == tasks) {
            running.team.stop();
            return done.release();
        }
        push(running.team, make_job(call), Queue::call, call_priority);
    };
    running.team.push(make_job([&] {
        for (std::size_t i = 0; i < tasks; ++i) {
            Task& task = make_job([&] { before.push_back(calls); });
            push(running.team, task, queue, task_priority);
        }
        push(running.team, make_job(call), Queue::call, call_priority);
    }));
    expect_soon(done, "the last call");
    running.stop();
    return before;
}

TEST(order, calls_do_not_keep_tasks_of_their_priority_from_beginning) {
    for (const Queue queue : {Queue::bound, Queue::free, Queue::own}) {
        for (const int priority : {-3, 0, 3}) {
            const std::vector<int> before = calls_before_tasks(queue, priority, priority);
            ASSERT_EQ(before.size(), 5U) << "queue " << static_cast<int>(queue);
            EXPECT_GT(before.front(), 1) << "a call goes first";
            for (std::size_t i = 1; i < before.size(); ++i) {
                EXPECT_GT(before[i] - before[i - 1], 1) << "calls go first again";
                EXPECT_LE(before[i] - before[i - 1], 64);
            }
        }
    }
}

TEST(order, calls_of_a_higher_priority_begin_before_tasks_always) {
    for (const Queue queue : {Queue::bound, Queue::free}) {
        EXPECT_TRUE(calls_before_tasks(queue, 1, 0).empty());
        EXPECT_TRUE(calls_before_tasks(queue, INT_MIN + 1, INT_MIN).empty());
    }
}

TEST(order, tasks_of_a_higher_priority_begin_before_calls) {
    for (const Queue queue : {Queue::bound, Queue::free}) {
        const std::vector<int> before = calls_before_tasks(queue, -1, 0);
        ASSERT_EQ(before.size(), 5U);
        EXPECT_EQ(before.back(), 0);
    }
}

// What an actor has to run is not for other ranks, and is freed at the end as all else.
TEST(order, calls_are_not_given_away) {
    Settings settings;
    settings.stack_bytes = std::size_t{128} << 10U;
    RunningTeam running(settings);
    Semaphore done{0};
    running.team.push(make_job([&] {
        for (int i = 0; i < 3; ++i) {
            Task& call = make_job([] {});
            call.foreign = true;
            push(running.team, call, Queue::call);
        }
        EXPECT_EQ(running.team.backlog(), 3U);
        EXPECT_EQ(running.team.take(), nullptr);
        EXPECT_TRUE(running.team.take_foreign(Rank{}, 10, true).empty());
        running.team.stop();
        done.release();
    }));
    expect_soon(done, "the first task");
    running.stop();
    EXPECT_EQ(running.team.backlog(), 0U);
}

}  // namespace
}  // namespace mobula::worker
