// SPDX-License-Identifier: Apache-2.0

/// The caller's side of actors; actors_here.cpp has the side of the actor's rank.

#include <memory>
#include <utility>

#include <mobula/archive.hpp>

#include "runtime/actors.hpp"
#include "runtime/frame.hpp"

namespace mobula::runtime {

FailurePtr died(const std::string& reason) {
    auto failure = std::make_shared<graph::Failure>();
    failure->kind = graph::FailureKind::actor_died;
    failure->message = reason;
    return failure;
}

FailurePtr of_another_class(const Task& method) {
    auto failure = std::make_shared<graph::Failure>();
    failure->kind = graph::FailureKind::infeasible;
    failure->message = graph::name_of(method) +
                       " is no method of the actor, which is of another class; find<A>() needs the "
                       "class that spawn<A>() was given";
    return failure;
}

std::string constructor_failed(const graph::Failure& why) {
    return "the actor's constructor failed: " + why.sentence();
}

Actors::Actors(const Parts& parts)
    : life_(parts.life),
      network_(parts.network),
      team_(parts.team),
      exchange_(parts.exchange),
      resources_(parts.resources),
      dispatcher_(parts.dispatcher),
      streams_(parts.streams),
      names_(parts.names),
      handle_circles_(parts.handle_circles),
      clerk_(parts.clerk),
      clock_(parts.clock),
      line_events_(
          [](Task& task, void* self) noexcept { static_cast<Actors*>(self)->line_ready(task); },
          &Actors::want, this),
      here_events_(
          [](Task& task, void* self) noexcept { static_cast<Actors*>(self)->arrive_here(task); },
          &Actors::want, this) {}

void Actors::want(Object& object, bool value, void* self) {
    static_cast<Actors*>(self)->exchange_.want(object, value);
}

detail::CellPtr Actors::spawn(Task& task, const ActorOptions& options) {
    graph::TaskExtra& extra = graph::extra_of(task);
    extra.options.name = options.name;
    extra.options.cpus = options.cpus;
    extra.options.gpus = options.gpus;
    extra.options.resources = options.resources;
    extra.options.placement = options.placement;
    extra.options.priority = options.priority;
    extra.options.max_retries = 0;
    extra.max_concurrency = options.max_concurrency;
    // What is no amount at all, such as -1, is looked at as well.
    extra.demands = options.cpus != 0 || options.gpus != 0 || !options.resources.empty() ||
                    options.placement.kind == Placement::Kind::bundle;
    Rank rank{};
    try {
        if (options.max_concurrency == 0) {
            throw BadInput(
                "max_concurrency = 0 is not allowed; an actor has at least one method under way "
                "at once");
        }
        rank = resources_.choose_for_actor(extra.options, extra.demands);
    } catch (...) {
        graph::drop(task);
        throw;
    }
    Object& cell = *task.result;
    const ObjectId id = exchange_.publish(cell, &rank);
    task.actor = detail::CellPtr::share(cell).release();
    detail::CellPtr handle = detail::CellPtr::share(cell);
    bool may_begin = true;
    if (!options.name.empty()) {
        try {
            may_begin = names_.enter(options.name, id);
        } catch (...) {
            graph::drop(task);
            throw;
        }
    }
    if (!may_begin) {
        hold(cell, id, task);
        names_.ask(options.name, id);
        return handle;
    }
    // Nothing waits before a constructor, but it is a line's first call all the same.
    call(cell, task);
    return handle;
}

/// Keeps the constructor in front of the calls that are made meanwhile, here or anywhere: what has
/// no constructor runs nothing. Its inputs are waited for when it may begin.
void Actors::hold(Object& actor, const ObjectId& id, Task& constructor) {
    {
        std::lock_guard guard(lines_mutex_);
        const LineKey key = line_key(actor);
        Line& line = lines_[key];
        line.since = clock_.now();
        line.key = key;
        line.calls.push(constructor);
        constructor.instance = &line;
        unnamed_.emplace(id, &constructor);
    }
    watch(actor);  // it may be killed meanwhile
}

void Actors::named(const ObjectId& id, const std::string& refusal) {
    Task* constructor = nullptr;
    {
        std::lock_guard guard(lines_mutex_);
        const auto found = unnamed_.find(id);
        if (found == unnamed_.end()) return;  // it never asked, or the job is over
        constructor = found->second;
        unnamed_.erase(found);
    }
    if (!refusal.empty()) return refuse(*constructor, refusal);
    if (graph::await_inputs(*constructor, false, line_events_)) line_ready(*constructor);
}

/// The constructor's rank hears of the death before the calls that wait behind it, and so do the
/// waiting ones of this rank: none of them runs.
void Actors::refuse(Task& constructor, const std::string& reason) {
    const auto [id, rank] = exchange_.actor_of(Object::of(*constructor.actor));
    const FailurePtr death = died(reason);
    exchange_.note_death(id, death);
    fail_lines(id, death);
    kill(id, rank, reason);
    line_ready(constructor);
}

/// The line of the caller that is running.
Actors::LineKey Actors::line_key(const Object& actor) noexcept {
    const worker::Frame* const frame = worker::Team::frame();
    return {frame == nullptr ? 0 : frame->caller, &actor};
}

void Actors::call(Object& actor, Task& task) {
    if (task.actor == nullptr) task.actor = detail::CellPtr::share(actor).release();
    if (task.info->stream) streams_.open(*task.result);
    const LineKey key = line_key(actor);
    std::unique_lock lock(lines_mutex_);
    const auto found = lines_.find(key);
    // A call that must wait for others, or for its inputs, needs its line's address.
    if (found == lines_.end()) {
        if (graph::await_inputs(task, false, line_events_)) {
            lock.unlock();
            return dispatch(task);
        }
        Line& line = lines_[key];
        line.since = clock_.now();
        line.key = key;
        line.calls.push(task);
        task.instance = &line;
        lock.unlock();
        return watch(actor);
    }
    Line& line = found->second;
    line.calls.push(task);
    task.instance = &line;
    if (graph::await_inputs(task, false, line_events_)) leave_line(task, lock);
    lock.unlock();
    watch(actor);  // also one that is ready may stay behind an earlier one
}

/// Calls wait for their inputs on this rank: should the actor die, they must not wait on.
void Actors::watch(Object& actor) {
    const Exchange::WatchedActor watched = exchange_.watch_actor(actor);
    FailurePtr death = watched.death;
    if (watched.rank == network_.self()) {
        Lock lock(lock_);
        death = instance(watched.id).dead;
    } else if (watched.first) {
        network_.send(watched.rank, wire::WatchActor{watched.id});
    }
    if (death) fail_lines(watched.id, death);
}

/// Those calls keep their places until their inputs come, and are dropped then.
void Actors::fail_lines(const ObjectId& id, const FailurePtr& death) {
    std::vector<detail::CellPtr> results;
    {
        std::unique_lock lock(lines_mutex_);
        for (const auto& [key, line] : lines_) {
            for (Task* task = line.calls.first(); task != nullptr; task = task->next) {
                if (exchange_.actor_of(Object::of(*task->actor)).first != id) break;
                Task::Phase waiting = Task::Phase::waiting;
                if (!task->phase.compare_exchange_strong(waiting, Task::Phase::over)) continue;
                for (std::uint32_t i = 0; i < task->info->results; ++i) {
                    results.push_back(detail::CellPtr::share(*task->results(i)));
                }
            }
        }
    }
    for (const detail::CellPtr& result : results) graph::fail(Object::of(*result), death);
}

void Actors::line_ready(Task& task) {
    std::unique_lock lock(lines_mutex_);
    leave_line(task, lock);
}

/// The call's inputs exist: it goes out, with all that wait behind it and are ready too, unless an
/// earlier one is not. Gives the lock up while calls go out: that runs the user's code, and a call
/// that fails then may make others ready. Who comes meanwhile leaves his calls to whoever is at it,
/// so that none of this caller's overtakes another.
void Actors::leave_line(Task& task, std::unique_lock<std::mutex>& lock) {
    task.bound = true;  // marks that it may leave its line
    Line& line = *static_cast<Line*>(task.instance);
    if (line.draining) return;
    line.draining = true;
    drain_line(line, lock);
}

/// Where the next call is for the clerk, that one goes on with the line.
void Actors::drain_line(Line& line, std::unique_lock<std::mutex>& lock) {
    while (!line.calls.empty() && line.calls.first()->bound) {
        if (Dispatcher::is_for_clerk(*line.calls.first())) {
            lock.unlock();
            clerk_.give([this, &line] {
                std::unique_lock again(lines_mutex_);
                drain_line(line, again);
            });
            return lock.lock();
        }
        Task& first = *line.calls.pop();
        first.bound = false;
        lock.unlock();
        {
            // Asked again, it might be for the clerk by now, and the next one would overtake it.
            const NotDriving decided;
            dispatch(first);
        }
        lock.lock();
    }
    line.draining = false;
    if (line.calls.empty()) {
        lines_.erase(LineKey(line.key));
    } else {
        line.since = clock_.now();  // those that are left have another first one
    }
}

void Actors::dispatch(Task& task) {
    const auto [id, rank] = exchange_.actor_of(Object::of(*task.actor));
    const bool construct = task.info->actor != nullptr;
    if (rank != network_.self()) return dispatcher_.send(task, rank);
    receive(task, id, construct);
}

void Actors::kill(Object& actor) {
    const auto [id, rank] = exchange_.actor_of(actor);
    kill(id, rank, "the actor was killed by rank " + std::to_string(index(network_.self())));
}

void Actors::kill(const ObjectId& id, Rank rank, const std::string& reason) {
    if (rank == network_.self()) {
        kill_here(id, reason);
        return;
    }
    network_.send(rank, wire::KillActor{id, reason});
}

void Actors::kill_there(const Task& constructor, Rank rank, const graph::Failure& why) {
    const ObjectId id = exchange_.actor_of(Object::of(*constructor.actor)).first;
    names_.leave(id);  // who hears of the failure may give the name away at once
    kill(id, rank, constructor_failed(why));
}

void Actors::ended(const ObjectId& id, Rank rank) {
    names_.leave(id);
    if (rank == network_.self()) return end(id);
    network_.send(rank, wire::EndActor{id});
}

/// It had a handle when it was spoken of there; so if none is left, the end was told already.
void Actors::on_ask(Rank from, const wire::AskActor& message) {
    if (message.actor.owner != network_.self()) {
        throw Error("a record asks for an actor of another rank");
    }
    if (exchange_.find_owned(message.actor)) return;
    network_.send(from, wire::EndActor{message.actor});
}

void Actors::on_dead(const wire::ActorDead& message, wire::RecordReader& tail) {
    detail::Reader encoded(tail.rest(), {}, {});
    const auto death = std::make_shared<graph::Failure>(graph::Failure::decode(encoded));
    exchange_.note_death(message.actor, death);
    fail_lines(message.actor, death);
}

}  // namespace mobula::runtime
