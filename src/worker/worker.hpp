// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <semaphore>
#include <set>
#include <vector>

#include "base/counter.hpp"
#include "worker/affinity.hpp"
#include "worker/team.hpp"

namespace mobula::worker {

/// One thread of a team. Thread-bound, except for resume() and the two to wake it.
class Worker {
public:
    /// One that is `alone` runs no tasks.
    Worker(Team& team, unsigned number, bool alone)
        : team_(team), number_(number), alone_(alone), holds_back_(alone) {}

    /// Makes the stack that it begins on; throws Error when there is no memory for it.
    void prepare() { add_fiber(); }
    /// The thread's life, after prepare(): tasks until the team stops and nothing is suspended any
    /// more.
    void run(const std::function<void()>& first);

    /// Any thread: the fiber, which sleeps on this worker, shall go on.
    void resume(Fiber& fiber) noexcept;
    /// Any thread: whether it was asleep and is not any more.
    bool wake_if_asleep() noexcept;
    /// The same for one that sleeps apart from the network.
    bool wake_if_parked() noexcept;
    /// Makes sure that the loop has a fiber to go on upon when the current one is left; throws
    /// Error when that is one too many.
    void reserve_fiber() {
        if (spare_.empty()) make_fiber();
    }
    /// Leaves the current fiber; somebody will resume it. A fiber was reserved.
    void suspend() noexcept;
    /// The same when the fiber wants to go on at that time, if it is not resumed before.
    void suspend_until(Time back_by) noexcept;
    void yield();
    /// Any thread: whether this worker, if it is idle, begins tasks at once; see begins_tasks().
    [[nodiscard]] bool may_begin(Time now) const noexcept;

    /// Any thread.
    [[nodiscard]] bool is_idle() const noexcept { return idle_.load(); }

    [[nodiscard]] unsigned number() const noexcept { return number_; }
    [[nodiscard]] Fiber* current() const noexcept { return current_; }
    [[nodiscard]] std::size_t suspended() const noexcept {
        return suspended_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t tasks_run() const noexcept { return tasks_run_.get(); }

    LocalDeque deque;

private:
    enum class Sleep : std::uint8_t { no, parked, network };

    /// Whether tasks that are ready may begin here now.
    [[nodiscard]] bool begins_tasks() noexcept {
        return !holds_back_ || begins_tasks_all_the_same();
    }
    [[nodiscard]] bool begins_tasks_all_the_same() noexcept;
    [[nodiscard]] bool others_are_stuck(Time now) noexcept;
    [[nodiscard]] Time back_by(Time now) const noexcept;
    [[nodiscard]] bool is_back_later(const Worker& other, Time now) const noexcept;
    void note_promises();

    void live();
    void loop();
    bool step();
    bool go_on_with_resumed();
    void wait_for_work();
    bool spin_for_work();
    void fall_asleep();
    void after_task() noexcept;
    void do_chores() noexcept;
    void do_chores_while_idle() noexcept;
    void leave_network() noexcept;
    [[nodiscard]] Task* next_task() noexcept;
    [[nodiscard]] Task* next_with_care() noexcept;
    [[nodiscard]] Task* next_with_care(Allowance::Share kept) noexcept;
    [[nodiscard]] Task* next_granted() noexcept;
    [[nodiscard]] Task* next_usual() noexcept;
    void leave_share() noexcept;
    [[nodiscard]] Task* next_shared() noexcept;
    [[nodiscard]] Task* next_call(Level calls, Level tasks) noexcept;
    [[nodiscard]] bool others_have_own() const noexcept;
    [[nodiscard]] Fiber* next_resumed() noexcept;
    [[nodiscard]] bool anything_to_do();
    [[nodiscard]] bool sees_work(std::uint64_t now);
    void steal(std::uint64_t now);
    void add_fiber();
    void make_fiber();
    void leave_for(Fiber& other);

    Team& team_;
    unsigned number_;
    const bool alone_;
    bool holds_back_;          ///< it is alone, or has promised a fiber to be back at a time
    Fiber* native_ = nullptr;  // the thread's own stack
    const std::function<void()>* first_ = nullptr;
    Fiber* current_ = nullptr;
    std::vector<std::unique_ptr<Fiber>> fibers_;  // all that were made
    std::vector<Fiber*> spare_;                   // suspended in loop(), with no task
    std::atomic<std::size_t> suspended_{0};
    Counter tasks_run_;
    std::uint64_t last_poll_ = 0;
    Affinity affinity_;
    unsigned until_shared_ = 0;
    unsigned calls_in_a_row_ = 0;  // while tasks of their priority waited
    bool fixed_first_ = false;
    bool granted_first_ = false;
    Allowance::Share share_ = 0;  // by which it runs a usual task while these are limited
    bool task_first_ = false;     // after a yield
    unsigned yields_ = 0;

    /// The worker whose deque is looked at while there is nothing to do; since when it has had
    /// tasks there without beginning one, after so many.
    std::size_t watched_ = 0;
    std::uint64_t watched_run_ = 0;
    std::uint64_t watched_since_ = 0;

    /// When its fibers want to be back; the first of them, for others to see. How often those that
    /// tasks are left to have begun something, and since when it is that often.
    std::multiset<Time> promises_;
    std::atomic<Time::rep> back_by_{Time::max().time_since_epoch().count()};
    std::atomic<bool> idle_{false};
    Counter idle_ends_;
    std::uint64_t others_begun_ = 0;
    Time others_since_ = Time::max();

    Spinlock resumed_lock_;
    Fiber* resumed_first_ = nullptr;
    Fiber* resumed_last_ = nullptr;
    std::atomic<bool> any_resumed_{false};
    std::atomic<Sleep> sleep_{Sleep::no};
    std::binary_semaphore parked_{0};
};

}  // namespace mobula::worker
