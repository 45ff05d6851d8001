// SPDX-License-Identifier: Apache-2.0

/// The part of the dispatcher that keeps tasks from waiting while somebody idles: more for ranks
/// with room, less for those that do not get to what they have.

#include <algorithm>
#include <utility>

#include "graph/task_list.hpp"
#include "runtime/dispatcher.hpp"

namespace mobula::runtime {

using scheduler::Loads;
namespace {

/// Backlog and remaining load below which a ready task stays here.
constexpr std::size_t tasks_per_worker_here = 1;
/// Of the tasks that wait here, between two looks.
constexpr std::uint32_t shared_at_once = 256;
/// So many times as long as the shortest is the longest time between two looks, while what waits
/// finds no idle worker anywhere.
constexpr int slackest_look = 64;

std::uint64_t nanoseconds(Time time) noexcept {
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(time.time_since_epoch()).count());
}

}  // namespace

// ---- sending on ----

/// Where the load is least: here while the workers have little, then whatever rank has room.
void Dispatcher::place_by_load(Task& task) {
    if (team_.backlog() < team_.workers_for_usual() * tasks_per_worker_here) {
        return life_.run_here(task);
    }
    std::optional<Rank> to;
    {
        std::lock_guard guard(lock_);
        to = loads_.next_with_room();
    }
    if (to) return send(task, *to);
    life_.run_here(task);
}

/// Sends the rank as much as it has room for; whether there was anything.
bool Dispatcher::refill(Rank rank) {
    for (bool any = false;; any = true) {
        {
            std::lock_guard guard(lock_);
            if (!loads_.room(rank)) return true;
        }
        Task* const task = team_.take();
        if (task == nullptr) return any;
        send(*task, rank);
    }
}

/// Sends what waits here to ranks that have room; whether there was anything.
bool Dispatcher::share(bool near) {
    std::uint32_t room = 0;
    {
        std::lock_guard guard(lock_);
        room = loads_.room_for(shared_at_once);
    }
    if (room == 0) return false;
    graph::TaskList tasks;
    for (std::uint32_t i = 0; i < room; ++i) {
        Task* const task = team_.take();
        if (task == nullptr) break;
        tasks.push(*task);
    }
    if (near && tasks.empty()) tasks = team_.take_near(room);
    const bool any = !tasks.empty();
    while (Task* const task = tasks.pop()) {
        task->bound = task->near = false;
        std::optional<Rank> to;
        {
            std::lock_guard guard(lock_);
            to = loads_.next_with_room();
        }
        if (to) {
            send(*task, *to);
        } else {
            team_.push(*task);
        }
    }
    return any;
}

// ---- looking after what waits ----

/// Something may wait from now on. The lock is held.
void Dispatcher::watch() noexcept {
    brisk_ = true;
    look_step_ = settings_.look_period;
    look_at_.store((Clock::now() + look_step_).time_since_epoch().count(),
                   std::memory_order_relaxed);
}

void Dispatcher::look(Time now) noexcept {
    const worker::Team& team = team_;
    if (now < next_look()) {
        // Tasks that were only queued here have told nobody.
        if (next_look() != Time::max() || team.backlog() == 0) return;
        std::lock_guard guard(lock_);
        if (!brisk_) watch();
        return;
    }
    if (looking_.exchange(true)) return;
    {
        std::lock_guard guard(lock_);
        brisk_ = false;  // what comes from here on is for the next look
    }
    const std::uint64_t run = team.tasks_run();
    const bool moves = std::exchange(run_seen_, run) != run && team.workers_for_usual() != 0;
    const bool waited = std::exchange(waited_here_, team.backlog() != 0);
    if (moves || !waited) still_here_since_ = now;
    const Duration still = now - still_here_since_;
    bool moved = false;
    if (still >= settings_.look_period && team.idle_for_usual() == 0) {
        moved = share(still >= std::chrono::nanoseconds(Loads::near_patience_ns));
    }

    std::vector<Loads::Recall> recalls;
    {
        std::lock_guard guard(lock_);
        const std::size_t idle = team.idle_for_usual();
        loads_.look(nanoseconds(now),
                    static_cast<std::uint32_t>(idle - std::min(idle, team.backlog())));
        while (const auto recall = loads_.recall_stuck()) recalls.push_back(*recall);
        moved = moved || !recalls.empty();
        if (!brisk_) {
            look_step_ = moved ? settings_.look_period
                               : std::min(look_step_ * 2, settings_.look_period * slackest_look);
            const bool waits = loads_.anything_waits() || team.backlog() != 0;
            brisk_ = moved && waits;
            look_at_.store((waits ? now + look_step_ : Time::max()).time_since_epoch().count(),
                           std::memory_order_relaxed);
        }
    }
    for (const Loads::Recall& recall : recalls) ask_back(recall);
    looking_.store(false);
}

void Dispatcher::ask_back(const Loads::Recall& recall) {
    network_.send(recall.from, wire::Recall{recall.count, static_cast<std::uint32_t>(recall.how)});
}

void Dispatcher::idle() noexcept {
    if (team_.idle_for_usual() != 0) {
        if (robbed_.load(std::memory_order_relaxed)) say_room();
        std::optional<Loads::Recall> recall;
        {
            std::lock_guard guard(lock_);
            recall = loads_.recall();
        }
        if (recall) ask_back(*recall);
    }
    if (next_look() != Time::max() || team_.backlog() != 0) look(Clock::now());
}

// ---- being asked ----

void Dispatcher::on_recall(Rank from, const wire::Recall& message) {
    const auto how = static_cast<Loads::Asked>(message.how);
    if (how > Loads::Asked::near) throw Error("a record asks for tasks in no known way");
    const bool near = how == Loads::Asked::near;
    wire::Returned answer;
    graph::TaskList tasks = team_.take_foreign(from, message.count, near);
    while (Task* const task = tasks.pop()) {
        answer.tasks.push_back(task->key);
        foreign_ended(*task);
        life_.drop(*task);
    }
    if (how != Loads::Asked::kindly) {
        const std::size_t backlog = team_.backlog();
        const std::size_t idle_workers = team_.idle_for_usual();
        if (backlog < idle_workers) {
            answer.idle_workers = static_cast<std::uint32_t>(idle_workers - backlog);
        } else {
            std::lock_guard guard(robbed_lock_);
            robbed_by_.add(from);
            robbed_.store(true, std::memory_order_relaxed);
        }
    }
    answer.unready = unready_of(from, near);
    network_.send(from, answer);
}

/// Tasks of the rank that wait here for the bytes of their inputs, and so are in no queue yet.
std::uint32_t Dispatcher::unready_of(Rank owner, bool near) {
    std::uint32_t unready = 0;
    std::lock_guard guard(foreign_lock_);
    for (const Task* task : foreign_) {
        const bool free = task->instance == nullptr && task->info->actor == nullptr &&
                          (!task->bound || (task->near && near));
        if (free && task->where == owner && task->phase.load() == Task::Phase::waiting) ++unready;
    }
    return unready;
}

void Dispatcher::say_room() noexcept {
    RankIndex told;
    {
        std::lock_guard guard(robbed_lock_);
        std::swap(told, robbed_by_);
        robbed_.store(false, std::memory_order_relaxed);
    }
    for (const Rank rank : told.ranks()) network_.send(rank, wire::Room{});
}

void Dispatcher::on_returned(Rank from, const wire::Returned& message) {
    std::vector<Task*> tasks;
    for (const TaskKey& key : message.tasks) {
        Task* const task = find_sent(key, from);
        if (task == nullptr) continue;
        if (task->actor != nullptr || bound_of(*task) == Loads::Bound::yes ||
            task->results_left != task->info->results) {
            throw Error("a rank gives back a task that it may not");
        }
        forget(*task);
        task->phase.store(Task::Phase::waiting, std::memory_order_release);
        tasks.push_back(task);
    }
    Loads::Asked how{};
    {
        std::lock_guard guard(lock_);
        how = loads_.asked(from);
        loads_.answered(from, static_cast<std::uint32_t>(message.tasks.size()), message.unready,
                        message.idle_workers);
        if (!brisk_ && loads_.anything_waits()) watch();
    }
    for (Task* const task : tasks) {
        task->bound = task->near = false;
        if (how == Loads::Asked::kindly) {
            life_.run_here(*task);
        } else {
            place_by_load(*task);
        }
    }
}

void Dispatcher::on_room(Rank from, const wire::Room&) {
    {
        std::lock_guard guard(lock_);
        loads_.opened(from);
        if (!brisk_ && loads_.anything_waits()) watch();
    }
    static_cast<void>(refill(from));
}

}  // namespace mobula::runtime
