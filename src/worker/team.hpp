// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <semaphore>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "worker/allowance.hpp"
#include "worker/fiber.hpp"
#include "worker/nudge.hpp"
#include "worker/queues.hpp"
#include "worker/timers.hpp"

namespace mobula::worker {

/// What a team of workers needs of the rank around it.
class Delegate {
public:
    /// Runs the task on the calling worker; owns it from then on.
    virtual void execute(Task& task) noexcept = 0;
    /// The task, which was granted what it demands, is the next to be executed.
    virtual void begin(Task& task) noexcept { static_cast<void>(task); }
    /// Drives the network once; whether anything happened. Any thread. What has come up meanwhile
    /// and may not be done there is left: a worker does it afterwards, or leaves it to others.
    virtual bool poll() noexcept = 0;
    [[nodiscard]] virtual bool has_chores() noexcept { return false; }
    virtual void do_chores() noexcept {}
    virtual void leave_chores() noexcept {}
    /// Hands started batches to the network. Any thread.
    virtual void flush() noexcept = 0;
    /// Sleeps until the network has something, wake_sleeper() or the deadline. One thread.
    virtual void sleep(Time deadline) noexcept = 0;
    virtual void wake_sleeper() noexcept = 0;
    /// The communication thread's regular duty, every `Settings::tick`.
    virtual void tick(Time now) noexcept = 0;
    /// A worker has nothing to run; told once each time.
    virtual void idle() noexcept = 0;
    /// The communication thread is awake: told each time, many times a second while workers are
    /// busy.
    virtual void look(Time now) noexcept { static_cast<void>(now); }

protected:
    ~Delegate() = default;
};

struct Settings {
    unsigned workers = 1;  ///< that run tasks
    /// The calling thread of run() is one more, which runs no tasks: only what it begins with.
    bool first_alone = false;
    std::size_t stack_bytes = std::size_t{8} << 20U;  ///< of the driver and every task
    std::size_t suspended_max = 30000;                ///< fibers per worker; two mappings each
    std::size_t fibers_max = worker::fibers_max();    ///< of all workers together
    std::chrono::microseconds spin{20};  ///< before an idle worker sleeps; 0 when oversubscribed
    std::chrono::milliseconds tick{100};
    /// A worker that leaves tasks to others begins them all the same when those have begun nothing
    /// for so long: nothing may wait for a worker that does not come.
    std::chrono::milliseconds stuck_after{100};
};

class Worker;

/// What the calling fiber executes, or null; worker.cpp moves it along with the fiber.
inline thread_local constinit Frame* this_frame = nullptr;

/// Who sleeps in a wait: a fiber of a worker, or a thread of the user's.
struct Sleeper {
    Worker* worker = nullptr;
    Fiber* fiber = nullptr;
    std::binary_semaphore* thread = nullptr;
};

/// The workers of one rank and its communication thread. A worker runs tasks one after another on
/// one stack; a task that waits keeps that stack to itself, and the worker switches to another
/// one. An idle worker drives the network; when none is idle, the communication thread
/// notices within `watch_period` and takes over. All members are thread-safe unless they say
/// otherwise.
class Team {
public:
    /// Throws Error when there is no memory for the workers' stacks.
    Team(const Settings& settings, Delegate& delegate);
    ~Team();

    /// Runs the team with the calling thread as worker 0, which starts with `first`; returns after
    /// stop(), when all that was suspended has ended.
    void run(const std::function<void()>& first);
    /// Ends run(). Whoever waits is woken; stopping() tells it why.
    void stop() noexcept;
    [[nodiscard]] bool stopping() const noexcept {
        return stopping_.load(std::memory_order_acquire);
    }

    /// A task that became ready: behind the others of the rank. Tasks that must run on this rank
    /// (`bound`) and those of other ranks (`foreign`) are kept apart from those that may be sent.
    /// What is an actor's (`here`) goes before the tasks of its priority.
    void push(Task& task);
    /// A task that became ready through what the calling worker did: it is the next it takes.
    void push_next(Task& task);
    /// Ready tasks that no worker has taken.
    [[nodiscard]] std::size_t backlog() const noexcept;
    /// Of those, the ones that may be sent to another rank.
    [[nodiscard]] std::size_t free_backlog() const noexcept;
    /// Takes the oldest ready task that may be sent to another rank away; or null.
    [[nodiscard]] Task* take();
    /// Takes up to `count` tasks of this rank away that are bound just by their input bytes.
    [[nodiscard]] graph::TaskList take_near(std::size_t count);
    /// Takes up to `count` waiting tasks of another rank away, to give them back. Those that are
    /// near their input bytes stay, unless `near` says that they shall go too.
    [[nodiscard]] graph::TaskList take_foreign(Rank owner, std::size_t count, bool near);

    /// CPUs of this rank are reserved, or free again: so many workers may run usual tasks, which
    /// ask for one CPU each, at once; with as many as there are workers, or more, nothing is
    /// limited. What runs goes on. Tasks of actors, and those that were granted what they demand,
    /// run anyway. One thread at a time.
    void allow_usual(unsigned workers) noexcept;
    /// Workers with nothing to do that may run a usual task.
    [[nodiscard]] unsigned idle_for_usual() const noexcept;
    /// How many workers may run usual tasks at once.
    [[nodiscard]] unsigned workers_for_usual() const noexcept {
        return std::min(allowance_.allowed(), workers());
    }
    /// Calls `look` with some of the usual tasks that are ready, under locks of queues; at most
    /// `count` of each queue.
    void list_usual(std::size_t count, const std::function<void(const Task&)>& look);

    /// Any ready task, to free it after the end; or null.
    [[nodiscard]] Task* take_any();

    /// The caller, for whoever shall wake it up. Throws Error when too many wait already, so that
    /// sleep(), before which others know of the caller's stack, need not.
    [[nodiscard]] Sleeper sleeper(std::binary_semaphore& for_a_thread);
    /// Leaves the caller's stack until wake() was called for it, once for each sleep. A caller that
    /// wants to go on at a time has its worker leave tasks to others meanwhile; see
    /// Worker::begins_tasks.
    void sleep(const Sleeper& self, std::optional<Time> back_by = std::nullopt) noexcept;
    static void wake(const Sleeper& sleeper) noexcept;
    /// Lets others run on the calling worker first.
    void yield();

    /// Those that run tasks.
    [[nodiscard]] unsigned workers() const noexcept { return settings_.workers; }
    /// Workers with nothing to do that would begin a task.
    [[nodiscard]] unsigned idle_workers() const noexcept;
    /// Whether a worker runs something.
    [[nodiscard]] bool busy() const noexcept {
        return idle_.load(std::memory_order_relaxed) < workers_.size();
    }
    /// The number of the calling worker; 0 on other threads. The one that runs no tasks comes after
    /// all others.
    [[nodiscard]] static unsigned worker_number() noexcept;
    [[nodiscard]] static bool on_worker() noexcept;
    /// What the calling fiber executes, or null. Follows the fiber through its suspensions.
    [[nodiscard]] static Frame*& frame() noexcept { return this_frame; }
    /// The size of the calling fiber's stack if the address lies in the guard below it, which only
    /// a stack that is full comes to; else 0. Async-signal-safe.
    [[nodiscard]] static std::size_t full_stack_bytes(const void* address) noexcept;
    /// Fibers that wait, on all workers.
    [[nodiscard]] std::size_t suspended() const noexcept;
    /// Tasks that the workers have executed.
    [[nodiscard]] std::uint64_t tasks_run() const noexcept;

    Timers& timers() noexcept { return timers_; }
    /// The communication thread shall look at the timers again.
    void timers_changed() noexcept;

private:
    friend class Worker;
    void push_fixed(Task& task);
    [[nodiscard]] Task* pop_granted() noexcept;
    [[nodiscard]] std::size_t usual_backlog() const noexcept {
        return free_backlog() + fixed_.size();
    }
    void wake_for(const ReadyQueue& queue) noexcept;
    void leave_share(Allowance::Share share) noexcept;
    void communicate();
    void wake_one() noexcept;
    bool wake_parked() noexcept;
    void wake_for_task() noexcept;
    bool wake_one_that_may_begin(bool (Worker::*wake)() noexcept) noexcept;
    void has_promised() noexcept;
    [[nodiscard]] bool any_ready();
    /// Whether an idle worker polls the network or sleeps at it.
    [[nodiscard]] bool network_attended() const noexcept { return idle_.load() > parked_.load(); }
    [[nodiscard]] Time do_duties();
    void serve_network(std::chrono::microseconds period);

    Settings settings_;
    Delegate& delegate_;
    ReadyQueue ready_;    ///< tasks of this rank that may run anywhere
    ReadyQueue fixed_;    ///< tasks that must run here
    ReadyQueue calls_;    ///< what actors of this rank have to run
    ReadyQueue granted_;  ///< tasks that demanded more than a worker, and have it
    Allowance allowance_;
    /// Whether a worker that looks for a task has to mind more than the usual: bits, and the number
    /// of granted tasks above them.
    std::atomic<std::uint32_t> attention_{0};
    static constexpr std::uint32_t attend_stop = 1, attend_limit = 2, attend_granted = 4;
    std::vector<std::unique_ptr<Worker>> workers_;
    Timers timers_;
    std::thread communication_;

    std::atomic<bool> stopping_{false};
    std::atomic<std::size_t> fibers_{0};
    std::atomic<unsigned> idle_{0};    ///< workers that poll or sleep
    std::atomic<unsigned> asleep_{0};  ///< workers that sleep
    std::atomic<unsigned> parked_{0};  ///< of those, the ones that hear nothing of the network
    std::atomic<bool> network_taken_{false};  ///< somebody sleeps on the network
    std::atomic<std::uint64_t> polled_{0};    ///< tick of the last poll by a worker
    std::atomic<unsigned> holding_back_{0};   ///< workers that leave tasks to others, if they can

    /// Of the communication thread: it watches in short naps while the workers are busy, and
    /// sleeps until it is wanted otherwise.
    Nudge wanted_;
    std::atomic<bool> watcher_asleep_{false};
    Time next_tick_{};
};

}  // namespace mobula::worker
