// SPDX-License-Identifier: Apache-2.0
#include "worker/team.hpp"

#include <algorithm>

#include "base/fatal_signals.hpp"
#include "worker/thread_state.hpp"
#include "worker/worker.hpp"

namespace mobula::worker {
namespace {

thread_local Worker* this_worker = nullptr;

/// How long nobody may look at the network before the communication thread does. Where workers
/// share CPUs they mostly wait for one then, and watching them closely would take it away from
/// them.
constexpr std::chrono::microseconds watch_period{500};
constexpr std::chrono::microseconds watch_period_crowded{5000};
/// A thread that sleeps on the network while all workers are busy hears what comes, but not what a
/// busy worker has to send, for which it looks as often as this.
constexpr int periods_between_sends = 4;
/// So many naps with an idle worker, and the communication thread stops watching.
constexpr int calm_naps = 20;

}  // namespace

Team::Team(const Settings& settings, Delegate& delegate)
    : settings_(settings), delegate_(delegate) {
    thread_state::note_rounding();
    if (settings.first_alone) {
        workers_.push_back(std::make_unique<Worker>(*this, settings.workers, true));
        workers_.back()->prepare();
        holding_back_ = 1;
    }
    for (unsigned i = 0; i < settings.workers; ++i) {
        workers_.push_back(std::make_unique<Worker>(*this, i, false));
        workers_.back()->prepare();
    }
}

Team::~Team() = default;

void Team::run(const std::function<void()>& first) {
    communication_ = std::thread([this] {
        const fatal::AlternateStack for_signals;
        communicate();
    });
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < workers_.size(); ++i) {
        threads.emplace_back([this, i] {
            const fatal::AlternateStack for_signals;
            this_worker = workers_[i].get();
            workers_[i]->run({});
        });
    }
    const fatal::AlternateStack for_signals;
    this_worker = workers_[0].get();
    workers_[0]->run(first);
    this_worker = nullptr;
    for (std::thread& thread : threads) thread.join();
    communication_.join();
}

void Team::stop() noexcept {
    stopping_.store(true);
    attention_.fetch_or(attend_stop);
    for (const auto& worker : workers_) worker->wake_if_asleep();
    wanted_.give();
    delegate_.wake_sleeper();
}

void Team::push(Task& task) {
    if (task.bound || task.foreign) return push_fixed(task);
    ready_.push(task);
    if (asleep_.load(std::memory_order_relaxed) != 0) wake_for(ready_);
}

void Team::push_fixed(Task& task) {
    const bool granted = !task.here && task.extra != nullptr && task.extra->demands;
    ReadyQueue& queue = task.here ? calls_ : granted ? granted_ : fixed_;
    if (granted) attention_.fetch_add(attend_granted);
    queue.push(task);
    if (asleep_.load(std::memory_order_relaxed) != 0) wake_for(queue);
}

void Team::push_next(Task& task) {
    const bool plain = task.extra == nullptr || task.extra->options.priority == 0;
    if (this_worker == nullptr || !plain || task.bound || task.foreign) return push(task);
    this_worker->deque.push(task);
    if (asleep_.load(std::memory_order_relaxed) != 0) wake_for(ready_);
}

/// Wakes a worker for what was pushed, if one may run it.
void Team::wake_for(const ReadyQueue& queue) noexcept {
    if (&queue == &ready_ || &queue == &fixed_) {
        std::atomic_thread_fence(std::memory_order_seq_cst);  // see leave_share
        if (allowance_.left() == 0) return;
    }
    wake_for_task();
}

/// What it was counted for goes on elsewhere or is over: another worker may take its place.
void Team::leave_share(Allowance::Share share) noexcept {
    allowance_.leave(share);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (asleep_.load() != 0 && usual_backlog() != 0) wake_for_task();
}

void Team::allow_usual(unsigned workers) noexcept {
    const std::uint32_t before = allowance_.allowed();
    const std::uint32_t now = workers < this->workers() ? workers : Allowance::all;
    if (now == before) return;
    if (now != Allowance::all) attention_.fetch_or(attend_limit);
    allowance_.set(now);
    if (now == Allowance::all) attention_.fetch_and(~attend_limit);
    if (now < before) return;
    // One of them also tells others that this rank has room again.
    const std::size_t waiting = std::max<std::size_t>(usual_backlog(), 1);
    for (std::size_t i = 0; i < std::min<std::size_t>(waiting, this->workers()); ++i)
        wake_for_task();
}

/// Where a worker waits for a time, others may begin a task that could not a moment ago: so it is
/// not counted but asked.
unsigned Team::idle_workers() const noexcept {
    if (holding_back_.load() == 0) return idle_.load(std::memory_order_relaxed);
    const Time now = Clock::now();
    return static_cast<unsigned>(std::count_if(
        workers_.begin(), workers_.end(),
        [&](const auto& worker) { return worker->is_idle() && worker->may_begin(now); }));
}

unsigned Team::idle_for_usual() const noexcept {
    return std::min(idle_workers(), allowance_.left());
}

void Team::list_usual(std::size_t count, const std::function<void(const Task&)>& look) {
    ready_.list(count, look);
    fixed_.list(count, look);
    for (const auto& worker : workers_) worker->deque.list(count, look);
}

Task* Team::pop_granted() noexcept {
    Task* const task = granted_.pop();
    if (task != nullptr) attention_.fetch_sub(attend_granted);
    return task;
}

bool Team::wake_parked() noexcept {
    for (const auto& worker : workers_) {
        if (worker->wake_if_parked()) return true;
    }
    return false;
}

/// Rather one that is parked, so that the network keeps its listener.
void Team::wake_one() noexcept {
    if (parked_.load(std::memory_order_relaxed) != 0 && wake_parked()) return;
    for (const auto& worker : workers_) {
        if (worker.get() != this_worker && worker->wake_if_asleep()) return;
    }
}

void Team::wake_for_task() noexcept {
    if (holding_back_.load(std::memory_order_relaxed) == 0) [[likely]]
        return wake_one();
    const bool parked = parked_.load(std::memory_order_relaxed) != 0;
    if (parked && wake_one_that_may_begin(&Worker::wake_if_parked)) return;
    static_cast<void>(wake_one_that_may_begin(&Worker::wake_if_asleep));
}

/// What leaves tasks to others is not woken for them.
bool Team::wake_one_that_may_begin(bool (Worker::*wake)() noexcept) noexcept {
    const Time now = Clock::now();
    for (const auto& worker : workers_) {
        const bool may = worker.get() != this_worker && worker->may_begin(now);
        if (may && ((*worker).*wake)()) return true;
    }
    return false;
}

bool Team::any_ready() {
    if (!calls_.empty() || !granted_.empty()) return true;
    if (allowance_.left() == 0) return false;
    if (!ready_.empty() || !fixed_.empty()) return true;
    return std::any_of(workers_.begin(), workers_.end(),
                       [](const auto& worker) { return !worker->deque.empty(); });
}

/// The calling worker leaves tasks to others from now on, of which those that sleep may not have
/// been woken for a task that it would have begun. This looks under the locks of the queues: what
/// is pushed later sees the promise.
void Team::has_promised() noexcept {
    if (asleep_.load() == 0 || !any_ready()) return;
    for (const auto& worker : workers_) {
        if (worker.get() != this_worker) worker->wake_if_asleep();
    }
}

std::size_t Team::backlog() const noexcept {
    return free_backlog() + fixed_.size() + calls_.size() + granted_.size();
}

std::size_t Team::free_backlog() const noexcept {
    std::size_t tasks = ready_.size();
    for (const auto& worker : workers_) tasks += worker->deque.size();
    return tasks;
}

Task* Team::take() {
    if (Task* const task = ready_.pop()) return task;
    for (const auto& worker : workers_) {
        if (Task* const task = worker->deque.pop_oldest()) return task;
    }
    return nullptr;
}

graph::TaskList Team::take_near(std::size_t count) {
    return fixed_.remove(count, [](const Task& task) { return task.near && !task.foreign; });
}

Task* Team::take_any() {
    if (Task* const task = take()) return task;
    if (Task* const task = fixed_.pop()) return task;
    if (Task* const task = pop_granted()) return task;
    return calls_.pop();
}

graph::TaskList Team::take_foreign(Rank owner, std::size_t count, bool near) {
    return fixed_.remove(count, [&](const Task& task) {
        const bool stays = task.bound && !(task.near && near);
        if (!task.foreign || stays || task.where != owner) return false;
        // A wish for a place was granted here: it stays.
        const graph::TaskExtra* const extra = task.extra;
        return extra == nullptr || extra->options.placement.kind == Placement::Kind::automatic;
    });
}

Sleeper Team::sleeper(std::binary_semaphore& for_a_thread) {
    if (this_worker == nullptr) return {nullptr, nullptr, &for_a_thread};
    this_worker->reserve_fiber();
    return {this_worker, this_worker->current(), nullptr};
}

void Team::sleep(const Sleeper& self, std::optional<Time> back_by) noexcept {
    if (self.worker == nullptr) {
        self.thread->acquire();
    } else if (back_by) {
        self.worker->suspend_until(*back_by);
    } else {
        self.worker->suspend();
    }
}

void Team::wake(const Sleeper& sleeper) noexcept {
    if (sleeper.worker != nullptr) {
        sleeper.worker->resume(*sleeper.fiber);
    } else {
        sleeper.thread->release();
    }
}

void Team::yield() {
    if (this_worker != nullptr) this_worker->yield();
}

unsigned Team::worker_number() noexcept { return this_worker ? this_worker->number() : 0; }
bool Team::on_worker() noexcept { return this_worker != nullptr; }

std::size_t Team::full_stack_bytes(const void* address) noexcept {
    const Fiber* const fiber = this_worker != nullptr ? this_worker->current() : nullptr;
    const Stack* const stack = fiber != nullptr ? fiber->stack() : nullptr;
    return stack != nullptr && stack->guards(address) ? stack->bytes() : 0;
}

std::size_t Team::suspended() const noexcept {
    std::size_t fibers = 0;
    for (const auto& worker : workers_) fibers += worker->suspended();
    return fibers;
}

std::uint64_t Team::tasks_run() const noexcept {
    std::uint64_t tasks = 0;
    for (const auto& worker : workers_) tasks += worker->tasks_run();
    return tasks;
}

void Team::timers_changed() noexcept {
    wanted_.give();
    if (network_taken_.load()) delegate_.wake_sleeper();
}

/// The regular duties of the communication thread; when the next one is due.
Time Team::do_duties() {
    const Time now = Clock::now();
    if (now >= next_tick_) {
        delegate_.tick(now);
        next_tick_ = now + settings_.tick;
        if (holding_back_.load() != 0 && backlog() != 0) {
            // Those that leave tasks to others shall see whether the others get to them.
            for (const auto& worker : workers_) worker->wake_if_asleep();
        }
    }
    delegate_.look(now);
    return std::min(next_tick_, timers_.run(now).value_or(next_tick_));
}

void Team::communicate() {
    const auto period = settings_.spin.count() == 0 ? watch_period_crowded : watch_period;
    int calm = 0;
    while (!stopping()) {
        const Time duty = do_duties();
        if (network_attended() && ++calm > calm_naps) {
            watcher_asleep_.store(true);
            // Who was nudged stays awake for some naps: a worker whose tasks come one by one would
            // have to nudge for each of them.
            if (network_attended() && wanted_.wait_until(duty)) calm = 0;
            watcher_asleep_.store(false);
            continue;
        }
        const std::uint64_t polled = polled_.load(std::memory_order_relaxed);
        wanted_.wait_until(std::min<Time>(duty, Clock::now() + period));
        if (network_attended()) continue;
        calm = 0;
        if (polled != polled_.load(std::memory_order_relaxed)) continue;
        // The worker at the network may have got work while others sleep apart from it: one of
        // those takes its place. When there is none, this thread does.
        if (!wake_parked()) serve_network(period);
    }
    static_cast<void>(do_duties());
}

/// All workers are busy: this thread drives the network until one of them is idle again.
void Team::serve_network(std::chrono::microseconds period) {
    if (network_taken_.exchange(true)) return;
    const auto look = periods_between_sends * period;
    while (idle_.load() == 0 && !stopping()) {
        const Time duty = do_duties();
        if (!delegate_.poll()) delegate_.sleep(std::min<Time>(duty, Clock::now() + look));
    }
    network_taken_.store(false);
    // An idle worker may sleep apart from the network because it was taken: one of them shall
    // take it over.
    if (asleep_.load() != 0) wake_one();
}

}  // namespace mobula::worker
