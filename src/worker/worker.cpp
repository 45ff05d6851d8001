// SPDX-License-Identifier: Apache-2.0
#include "worker/worker.hpp"

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include <mobula/error.hpp>

#include "base/check.hpp"
#include "base/tsc.hpp"
#include "worker/thread_state.hpp"

namespace mobula::worker {
namespace {

/// A worker that runs short tasks looks at the network this often.
constexpr std::uint64_t poll_every_us = 10;
/// So many of its own tasks, then one of the rank's queue, so that neither starves.
constexpr unsigned own_tasks_in_a_row = 64;
/// So many stacks that nothing waits on keep the memory that was touched deep in them.
constexpr std::size_t warm_stacks = 8;
/// So many calls of actors, then one of the tasks of their priority that wait meanwhile.
constexpr unsigned calls_in_a_row_max = 64;
/// With so many suspended, only every so-many-th yield begins a task.
constexpr std::size_t yielding_max = 1000;
constexpr unsigned yields_per_task = 64;
/// A worker leaves tasks to others when a fiber wants to be back on it within this time: it is
/// longer than most tasks, and most waits that somebody means to be over in time are shorter.
constexpr std::chrono::seconds soon{10};
/// What a worker does not get to for so long is better run by another one, though that costs about
/// as much.
constexpr double steal_after_us = 0.5;

}  // namespace

/// All that runs does so on stacks of the same size, wherever it runs: the thread's own, whose size
/// the system chose, only waits for the end.
void Worker::run(const std::function<void()>& first) {
    Fiber native;
    native_ = &native;
    affinity_.note_usual();
    if (first) first_ = &first;
    current_ = spare_.back();
    spare_.pop_back();
    native.switch_to(*current_);
}

/// What every fiber of the worker does.
void Worker::live() {
    thread_state::end_task();  // a fiber begins with what its maker had
    if (first_ != nullptr) {
        (*std::exchange(first_, nullptr))();
        after_task();
    }
    loop();
}

/// Runs on every fiber of the worker, and never returns.
void Worker::loop() {
    for (;;) {
        if (step()) continue;
        if (team_.stopping() && suspended() == 0) {
            leave_for(*native_);
        } else {
            wait_for_work();
        }
    }
}

/// One thing that is ready; false when nothing is.
bool Worker::step() {
    const bool task_first = std::exchange(task_first_, false);
    if (!task_first && go_on_with_resumed()) return true;
    if (Task* const task = next_task()) {
        tasks_run_.add(1);
        team_.delegate_.execute(*task);
        thread_state::end_task();
        after_task();
        return true;
    }
    return task_first && go_on_with_resumed();
}

bool Worker::go_on_with_resumed() {
    Fiber* const resumed = next_resumed();
    if (resumed == nullptr) return false;
    suspended_.store(suspended() - 1, std::memory_order_relaxed);
    leave_for(*resumed);
    return true;
}

/// This fiber has no task: it may be used for the loop again, or goes on here later.
void Worker::leave_for(Fiber& other) {
    if (share_ != 0) leave_share();
    Fiber& self = *current_;
    spare_.push_back(&self);
    if (spare_.size() > warm_stacks) spare_[spare_.size() - 1 - warm_stacks]->trim();
    current_ = &other;
    self.switch_to(other);
}

void Worker::make_fiber() {
    const Settings& settings = team_.settings_;
    if (suspended() >= settings.suspended_max) {
        throw Error("more than " + std::to_string(settings.suspended_max) +
                    " tasks wait at once on one worker (MOBULA_SUSPENDED_MAX)");
    }
    if (team_.fibers_.fetch_add(1) >= settings.fibers_max) {
        team_.fibers_.fetch_sub(1);
        throw Error("more than " + std::to_string(settings.fibers_max) +
                    " tasks wait at once on one rank, which is what "
                    "vm.max_map_count leaves room for");
    }
    try {
        add_fiber();
    } catch (...) {
        team_.fibers_.fetch_sub(1);
        throw;
    }
}

void Worker::add_fiber() {
    const std::size_t bytes = team_.settings_.stack_bytes;
    try {
        // Room for it comes first, so that it is known to both lists or to none.
        spare_.reserve(fibers_.size() + 1);
        fibers_.push_back(std::make_unique<Fiber>(
            bytes, [](void* self) { static_cast<Worker*>(self)->live(); }, this));
        spare_.push_back(fibers_.back().get());
    } catch (const std::bad_alloc&) {
        throw Error("there is no memory for one more stack of " + std::to_string(bytes >> 10U) +
                    " KiB (MOBULA_STACK_BYTES) on a worker that has " +
                    std::to_string(fibers_.size()) +
                    "; ulimit -v and vm.overcommit_memory limit the memory that is only set aside");
    }
}

void Worker::suspend() noexcept {
    check(!spare_.empty(), "a fiber must be reserved before one is left");
    team_.delegate_.flush();
    Fiber& self = *current_;
    Fiber& other = *spare_.back();
    suspended_.store(suspended() + 1, std::memory_order_relaxed);
    spare_.pop_back();
    self.frame = std::exchange(Team::frame(), nullptr);
    // A task that waits takes no worker from others.
    const Allowance::Share share = std::exchange(share_, 0);
    if (share != 0) team_.leave_share(share);
    const std::unique_ptr<const CpuMask> cpus = affinity_.take(ticks_now());
    current_ = &other;
    if (thread_state::followed()) [[unlikely]] {
        const thread_state::Kept kept = thread_state::keep();
        self.switch_to(other);
        thread_state::put_back(kept);
    } else {
        self.switch_to(other);
    }
    affinity_.put_back(cpus);
    Team::frame() = self.frame;
    if (share != 0 && team_.allowance_.limited()) share_ = team_.allowance_.enter_anyway();
}

void Worker::suspend_until(Time back_by) noexcept {
    const auto promise = promises_.insert(back_by);
    note_promises();
    if (promise == promises_.begin()) team_.has_promised();
    suspend();
    promises_.erase(promise);
    note_promises();
}

void Worker::note_promises() {
    const bool holds = alone_ || !promises_.empty();
    if (holds != std::exchange(holds_back_, holds)) team_.holding_back_.fetch_add(holds ? 1 : -1U);
    const Time first = promises_.empty() ? Time::max() : *promises_.begin();
    back_by_.store(first.time_since_epoch().count());
}

/// The time by which the worker has promised to be back, if it is soon.
Time Worker::back_by(Time now) const noexcept {
    const Time first{Duration(back_by_.load())};
    return first > now + soon ? Time::max() : first;
}

/// Whether this worker has more time for a task than another one.
bool Worker::is_back_later(const Worker& other, Time now) const noexcept {
    if (alone_) return false;
    const Time own = back_by(now), others = other.back_by(now);
    return own > others || (own == others && own != Time::max() && number_ > other.number_);
}

/// One that has promised to be back soon leaves tasks to those that have more time. Of all workers
/// there is always one that leaves tasks to nobody.
bool Worker::may_begin(Time now) const noexcept {
    if (alone_) return false;
    return std::none_of(team_.workers_.begin(), team_.workers_.end(),
                        [&](const auto& other) { return other->is_back_later(*this, now); });
}

bool Worker::begins_tasks_all_the_same() noexcept {
    if (alone_) return false;
    const Time now = Clock::now();
    return may_begin(now) || others_are_stuck(now);
}

/// Whether those that tasks are left to have all been busy with the same ones for long.
bool Worker::others_are_stuck(Time now) noexcept {
    std::uint64_t begun = 0;
    bool idle = false;
    for (const auto& other : team_.workers_) {
        if (!other->is_back_later(*this, now)) continue;
        idle = idle || other->idle_.load();
        begun += other->idle_ends_.get() + other->tasks_run();
    }
    if (idle || begun != others_begun_) {
        others_begun_ = begun;
        others_since_ = now;
    }
    return now - others_since_ > team_.settings_.stuck_after;
}

void Worker::yield() {
    try {
        reserve_fiber();
    } catch (const Error&) {
        return;  // as many as may wait do: it goes on alone
    }
    // What yields may wait for a task that has not begun. But tasks that all yield must not start
    // one another without end.
    task_first_ = suspended() < yielding_max || ++yields_ % yields_per_task == 0;
    resume(*current_);
    suspend();
}

void Worker::resume(Fiber& fiber) noexcept {
    bool asleep = false;
    {
        std::lock_guard guard(resumed_lock_);
        fiber.next = nullptr;
        (resumed_first_ == nullptr ? resumed_first_ : resumed_last_->next) = &fiber;
        resumed_last_ = &fiber;
        any_resumed_.store(true, std::memory_order_release);
        asleep = sleep_.load(std::memory_order_acquire) != Sleep::no;
    }
    if (asleep) wake_if_asleep();
}

Fiber* Worker::next_resumed() noexcept {
    if (!any_resumed_.load(std::memory_order_acquire)) return nullptr;
    std::lock_guard guard(resumed_lock_);
    Fiber* const fiber = resumed_first_;
    if (fiber != nullptr) resumed_first_ = fiber->next;
    any_resumed_.store(resumed_first_ != nullptr, std::memory_order_relaxed);
    return fiber;
}

Task* Worker::next_task() noexcept {
    if (team_.attention_.load(std::memory_order_acquire) != 0) [[unlikely]] {
        return next_with_care();
    }
    return begins_tasks() ? next_usual() : nullptr;
}

/// Some tasks were granted what they demand, or CPUs of the rank are reserved, so that only some
/// workers may run usual tasks; or the team stops.
Task* Worker::next_with_care() noexcept {
    const Allowance::Share kept = team_.allowance_.keep(std::exchange(share_, 0));
    Task* const task = begins_tasks() ? next_with_care(kept) : nullptr;
    if (kept != 0 && share_ == 0) team_.leave_share(kept);
    return task;
}

/// `kept`: the share of the task before, which may serve for the next one.
Task* Worker::next_with_care(Allowance::Share kept) noexcept {
    if (team_.stopping()) return nullptr;  // what was not begun is dropped
    const Level granted = team_.granted_.best();
    const Level others = std::max({team_.calls_.best(), team_.fixed_.best(), team_.ready_.best()});
    granted_first_ = granted == others ? !granted_first_ : granted > others;
    if (granted != nothing && granted_first_) {
        if (Task* const task = next_granted()) return task;
    }
    const bool limited = team_.allowance_.limited();
    const Allowance::Share share = !limited || kept != 0 ? kept : team_.allowance_.enter();
    if (!limited || share != 0) {
        Task* const task = next_usual();
        const bool counts = task != nullptr && !task->here;
        if (counts) share_ = share;
        if (!counts && share != kept) team_.leave_share(share);
        if (task != nullptr) return task;
    } else if (Task* const call = team_.calls_.pop()) {
        return call;
    }
    return next_granted();
}

Task* Worker::next_granted() noexcept {
    Task* const task = team_.pop_granted();
    if (task != nullptr) team_.delegate_.begin(*task);
    return task;
}

void Worker::leave_share() noexcept { team_.leave_share(std::exchange(share_, 0)); }

Task* Worker::next_usual() noexcept {
    const Level best = std::max(team_.fixed_.best(), team_.ready_.best());
    const Level calls = team_.calls_.best();
    if (calls != nothing) [[unlikely]] {
        if (Task* const call = next_call(calls, best)) return call;
    }
    // All in the deques has the usual priority.
    if (best <= usual && until_shared_ != 0) {
        --until_shared_;
        if (Task* const task = deque.pop_newest()) return task;
    }
    until_shared_ = own_tasks_in_a_row;
    if (best >= usual) {
        if (Task* const task = next_shared()) return task;
        return deque.pop_newest();
    }
    if (Task* const task = deque.pop_newest()) return task;
    if (best == nothing && calls == nothing) return nullptr;
    for (const auto& other : team_.workers_) {
        if (Task* const task = other->deque.pop_oldest()) return task;
    }
    return next_shared();
}

/// From the queue whose next task has the higher priority, else from both in turn.
Task* Worker::next_shared() noexcept {
    const Level fixed = team_.fixed_.best(), ready = team_.ready_.best();
    fixed_first_ = fixed == ready ? !fixed_first_ : fixed > ready;
    if (Task* const task = (fixed_first_ ? team_.fixed_ : team_.ready_).pop()) return task;
    return (fixed_first_ ? team_.ready_ : team_.fixed_).pop();
}

/// What an actor has to run at the level `calls`, unless tasks go first: those of a higher level
/// always, those of the same one after many calls in a row. `tasks` is the best level of the
/// rank's queues of tasks.
Task* Worker::next_call(Level calls, Level tasks) noexcept {
    if (tasks < usual && (deque.size() != 0 || (calls < usual && others_have_own()))) tasks = usual;
    if (calls < tasks) return nullptr;
    if (calls > tasks) {
        calls_in_a_row_ = 0;
    } else if (++calls_in_a_row_ > calls_in_a_row_max) {
        calls_in_a_row_ = 0;
        return nullptr;
    }
    return team_.calls_.pop();
}

bool Worker::others_have_own() const noexcept {
    return std::any_of(team_.workers_.begin(), team_.workers_.end(),
                       [](const auto& other) { return other->deque.size() != 0; });
}

void Worker::after_task() noexcept {
    const std::uint64_t now = ticks_now();
    if (now - last_poll_ < poll_every_us * ticks_per_microsecond()) return;
    last_poll_ = now;
    team_.polled_.store(now, std::memory_order_relaxed);
    static_cast<void>(affinity_.take(now));
    team_.delegate_.poll();
    do_chores();
}

/// Of what the network has left. One that leaves tasks to others leaves this too.
void Worker::do_chores() noexcept {
    if (!team_.delegate_.has_chores()) return;
    if (begins_tasks()) {
        team_.delegate_.do_chores();
    } else {
        team_.delegate_.leave_chores();
    }
}

bool Worker::anything_to_do() {
    {
        std::lock_guard guard(resumed_lock_);
        if (resumed_first_ != nullptr) return true;
    }
    if (team_.stopping()) return suspended() == 0;
    return (team_.delegate_.has_chores() || team_.any_ready()) && begins_tasks();
}

bool Worker::sees_work(std::uint64_t now) {
    if (any_resumed_.load(std::memory_order_acquire) || team_.stopping()) return true;
    if (!begins_tasks()) return false;
    if (team_.calls_.size() != 0 || team_.granted_.size() != 0) return true;
    if (team_.allowance_.left() == 0) return false;
    if (deque.size() != 0 || team_.ready_.size() != 0 || team_.fixed_.size() != 0) return true;
    steal(now);
    return deque.size() != 0;
}

/// Takes half of what another worker does not get to; looks at one of them each time. What that
/// worker begins in a moment has its data in that worker's caches: it is left there.
void Worker::steal(std::uint64_t now) {
    Worker& other = *team_.workers_[watched_];
    const std::uint64_t run = other.tasks_run();
    if (&other == this || other.deque.size() == 0 || (watched_since_ != 0 && run != watched_run_)) {
        watched_ = (watched_ + 1) % team_.workers_.size();
        watched_since_ = 0;
    } else if (watched_since_ == 0) {
        watched_run_ = run;
        watched_since_ = now;
    } else if (static_cast<double>(now - watched_since_) >
               steal_after_us * static_cast<double>(ticks_per_microsecond())) {
        watched_since_ = 0;
        deque.take_half(other.deque);
    }
}

}  // namespace mobula::worker
