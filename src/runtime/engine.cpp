// SPDX-License-Identifier: Apache-2.0
#include "runtime/engine.hpp"

#include <pthread.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "base/check.hpp"
#include "base/encoding.hpp"
#include "base/log.hpp"
#include "base/tsc.hpp"
#include "graph/promised.hpp"
#include "worker/thread_state.hpp"

namespace mobula::runtime {

using graph::State;
using wire::Kind;

namespace {

/// Submissions between looks at the network, and at how much is under way, by a task that does
/// nothing but submit.
constexpr unsigned submissions_per_look = 64;

/// How long a rank may give nothing before it is held for stuck: longer where ranks wait for CPUs,
/// and where there are many to look at.
Duration look_period(const std::vector<Peer>& peers) {
    const bool crowded =
        std::any_of(peers.begin(), peers.end(), [](const Peer& peer) { return peer.crowded; });
    return std::chrono::milliseconds(crowded ? 20 : 2) + std::chrono::microseconds(peers.size());
}

worker::Settings team_settings(const Options& options, const std::vector<Peer>& peers, Rank self) {
    worker::Settings settings;
    settings.workers = peers[index(self)].workers;
    settings.first_alone = options.driver_alone && self == driver_rank;
    settings.stack_bytes = options.stack_bytes;
    settings.suspended_max = options.suspended_max;
    settings.spin = std::chrono::microseconds(options.spin_us);
    settings.tick = std::chrono::milliseconds(options.heartbeat_ms) / 2;
    return settings;
}

}  // namespace

Engine::Engine(const Options& given, transport::Cluster& cluster, std::vector<Peer> all,
               FunctionTable table)
    : options(given),
      network(cluster),
      peers(std::move(all)),
      functions(std::move(table)),
      team(team_settings(options, peers, cluster.self()), *this),
      exchange(network, clerk, {options.inline_bytes},
               [this](const ObjectId& id, Rank rank) { actors.ended(id, rank); }),
      dispatcher(
          *this, network, [this](Rank rank) { return peers[index(rank)].workers; },
          std::chrono::microseconds(options.window_us), look_period(peers)),
      actors(*this),
      streams(*this),
      names(*this),
      groups(*this),
      resources(*this, peers),
      waits(*this),
      forwarder(*this),
      handle_circles(*this),
      stall_watch(*this),
      last_word(*this),
      clerk(options.stack_bytes, [this] { flush(); }) {
    instance_ = open_ = this;
    static const int guarded = pthread_atfork(nullptr, nullptr, &close_in_child);
    static_cast<void>(guarded);
}

Engine::~Engine() { instance_ = open_ = nullptr; }

void Engine::throw_not_running() {
    if (instance_ != nullptr) end_forked_child();
    throw Error("mobula was used outside of mobula::run: there is no engine");
}

const graph::InputEvents& Engine::exist_events() noexcept {
    static const graph::InputEvents events{
        [](detail::Waiter& waiter) noexcept {
            Task& task = *static_cast<detail::Input&>(waiter).task;
            if (graph::arrived(task)) instance_->place(task);
        },
        [](Object& object, bool value) { instance_->exchange.want(object, value); }};
    return events;
}

const graph::InputEvents& Engine::here_events() noexcept {
    static const graph::InputEvents events{
        [](detail::Waiter& waiter) noexcept {
            Task& task = *static_cast<detail::Input&>(waiter).task;
            if (graph::arrived(task)) instance_->enqueue(task);
        },
        [](Object& object, bool value) { instance_->exchange.want(object, value); }};
    return events;
}

// ---- the life of a task ----

/// Whether the options say just on which rank the task must run: it keeps that itself then.
static bool only_a_rank(const TaskOptions& options) {
    static const TaskOptions usual;
    return options.placement.kind == Placement::Kind::rank && options.placement.hard &&
           options.name.empty() && options.priority == 0 && !options.retry_exceptions &&
           options.max_retries == usual.max_retries;
}

static void check_retries(const Task& task, const TaskOptions& given) {
    if (given.max_retries < -1) {
        throw BadInput("max_retries is " + std::to_string(given.max_retries) +
                       "; it can be -1 (always), 0 or more");
    }
    if (given.retry_exceptions && given.max_retries != 0 && !task.info->repeatable) {
        throw BadInput("retry_exceptions: " + task.info->name() +
                       " takes a value that can only be moved, so it cannot run twice; take it by "
                       "const reference");
    }
}

void Engine::apply_options(Task& task, const TaskOptions& given) {
    if (given.stream_window == 0) {
        throw BadInput(
            "stream_window = 0 is not allowed; a stream is at least one item ahead of its "
            "consumer");
    }
    const bool demands = given.cpus != 1 || given.gpus != 0 || !given.resources.empty() ||
                         given.placement.kind == Placement::Kind::bundle;
    check_retries(task, given);
    resources.check(given, demands);
    if (!demands && !task.info->stream && only_a_rank(given)) {
        task.placed = true;
        task.where = static_cast<Rank>(given.placement.target);
        return;
    }
    graph::TaskExtra& extra = graph::extra_of(task);
    extra.options = given;
    extra.demands = demands;
}

/// The scope that the children of the running task are cancelled by.
static graph::Scope* scope_for_children(Task& parent) {
    graph::Scope* scope = parent.children.load(std::memory_order_acquire);
    if (scope == nullptr) {
        scope = new graph::Scope(parent.scope);
        parent.children.store(scope);
        if (parent.cancelled.load()) scope->cancel();
    }
    scope->retain();
    return scope;
}

void Engine::pace() {
    thread_local unsigned until_look = submissions_per_look;
    if (--until_look != 0) return;
    until_look = submissions_per_look;
    if (!network.alone()) drive();
    if (!worker::Team::on_worker() || Encoding::now()) return;
    while (graph::tasks_alive() > options.pending_max || dispatcher.backlogged()) {
        waits.check_cancelled();
        drive();
        team.yield();
    }
}

void Engine::submit(Task& task, const TaskOptions* given) {
    worker::Frame* const frame = worker::Team::frame();
    try {
        if (frame != nullptr && frame->task != nullptr) {
            if (graph::is_cancelled(*frame->task)) cancelled(*frame->task)->raise();
            task.scope = scope_for_children(*frame->task);
        }
        if (given != nullptr) apply_options(task, *given);
    } catch (...) {
        // Nobody can wait for its results, but a stream asks who makes it when it goes.
        fail(task, caught(task));
        throw;
    }
    if (task.info->stream) streams.open(*task.result);
    if (graph::await_inputs(task, false, exist_events())) place(task);
    if (frame == nullptr) [[unlikely]]
        wake_sleeper();
}

void Engine::wake_for_own_thread() noexcept {
    if (worker::Team::frame() == nullptr) wake_sleeper();
}

void Engine::place(Task& task) {
    if (network.alone() || task.bound || task.foreign) return run_here(task);
    dispatcher.place(task);
}

void Engine::run_here(Task& task) {
    if (network.alone() || graph::await_inputs(task, true, here_events())) enqueue(task);
}

void Engine::enqueue(Task& task) {
    // One that was cancelled goes through the queue as well: who takes it out frees it.
    static_cast<void>(task.advance(Task::Phase::queued));
    if (task.extra != nullptr && task.extra->demands && !task.extra->holds) {
        if (network.alone()) task.bound = true;  // as placing has marked it where there are others
        try {
            if (!resources.take(task)) return;
        } catch (...) {
            FailurePtr failure = caught(task);
            // Else its actor would be under construction for ever.
            if (task.instance != nullptr) failure = actors.finished(task, failure);
            return fail(task, failure);
        }
    }
    const worker::Frame* const frame = worker::Team::frame();
    if (frame != nullptr && !frame->driver) {
        team.push_next(task);
    } else {
        team.push(task);
    }
}

void Engine::run_user_code(Task& task, worker::Frame& frame, FailurePtr& failure) noexcept {
    frame.task = &task;
    frame.started = ticks_now();
    void* self_object = nullptr;
    const bool actor_task = task.instance != nullptr;
    if (actor_task) {
        frame.caller = Actors::caller_of(task);
        self_object = actors.prepare(task);
        if (self_object == nullptr) {
            failure = cancelled(task);  // finished() knows the reason
            return;
        }
    } else {
        frame.caller = next_caller_.fetch_add(1, std::memory_order_relaxed);
    }
    if (worker::thread_state::followed()) [[unlikely]] {
        worker::thread_state::begin_task(actor_task              ? Actors::cpus_of(task)
                                         : task.extra != nullptr ? task.extra->options.cpus
                                                                 : 1.0);
    }
    worker::Frame*& current_frame = worker::Team::frame();
    worker::Frame* const outer = std::exchange(current_frame, &frame);
    try {
        if (graph::is_packed(task)) graph::unpack(task);
        task.info->run(task, graph::arguments(task), self_object);
    } catch (...) {
        const bool decoding = graph::is_packed(task);  // still, so it did not begin to run
        failure = caught(task, decoding ? graph::Doing::decoding_argument : graph::Doing::running);
    }
    if (open_ == nullptr) [[unlikely]]
        end_forked_child();
    worker::Team::frame() = outer;
}

void Engine::execute(Task& task) noexcept {
    FailurePtr failure;
    if (graph::is_cancelled(task) || !task.advance(Task::Phase::running)) {
        failure = cancelled(task);
    } else {
        failure = graph::failed_input(task);
        if (failure) failure = graph::failure_passed_on(*failure, graph::name_of(task));
    }
    worker::Frame frame;
    const bool started = !failure;
    if (started) run_user_code(task, frame, failure);

    const bool actor_task = task.instance != nullptr;
    if (task.info->stream) streams.ended(task);
    if (started && failure && run_again(task, *failure)) return;
    if (started && failure) {  // one that never started has no place, and cancel() may fail it now
        for (std::uint32_t i = 0; i < task.info->results; ++i) {
            Object& object = *task.results(i);
            if (state_of(object) == State::pending && object.content.value != nullptr) {
                graph::drop_place(object);
            }
        }
    }
    if (started && failure) settle_output(task, frame);
    if (actor_task) failure = actors.finished(task, failure);
    if (task.extra != nullptr) resources.release(*task.extra);
    if (failure) return fail(task, failure);
    retire(task);
}

/// What a task printed that failed comes before other ranks learn of that.
void Engine::settle_output(Task& task, worker::Frame& frame) noexcept {
    std::optional<Rank> reader;
    if (task.foreign) {
        reader = task.where;
    } else {
        const auto is_shared = [&](std::uint32_t i) { return task.results(i)->shared != nullptr; };
        std::uint32_t i = 0;
        while (i < task.info->results && !is_shared(i)) ++i;
        if (i == task.info->results) return;
    }
    worker::Frame* const outer = std::exchange(worker::Team::frame(), &frame);
    forwarder.settle(reader);
    worker::Team::frame() = outer;
}

/// Puts a task that threw into the queue again where its options say so.
bool Engine::run_again(Task& task, const graph::Failure& failure) {
    if (task.extra == nullptr || !task.extra->options.retry_exceptions || task.info->stream ||
        failure.kind != graph::FailureKind::task_error || graph::is_packed(task)) {
        return false;
    }
    const int retries = task.extra->options.max_retries;
    if (retries >= 0 && task.extra->attempts >= retries) return false;
    for (std::uint32_t i = 0; i < task.info->results; ++i) {
        Object& object = *task.results(i);
        if (is_done(graph::state_of(object))) return false;  // some results are out already
        if (object.content.value != nullptr) graph::drop_place(object);
    }
    if (retries >= 0) ++task.extra->attempts;
    resources.release(*task.extra);
    task.phase.store(Task::Phase::waiting);
    enqueue(task);
    return true;
}

void Engine::finish_result(Task& task, std::uint32_t number) noexcept {
    if (task.foreign) {
        forwarder.settle(task.where);
        return dispatcher.give_result(task, number);
    }
    Object& result = *task.results(number);
    // Other ranks may learn of it at once.
    if (result.shared != nullptr) forwarder.settle(std::nullopt);
    graph::complete(result);
}

void Engine::retire(Task& task) noexcept {
    if (task.foreign) dispatcher.foreign_ended(task);
    drop(task);
}

void Engine::fail(Task& task, const FailurePtr& failure) noexcept {
    if (task.foreign) {
        dispatcher.give_failure(task, *failure);
    } else {
        for (std::uint32_t i = 0; i < task.info->results; ++i) {
            graph::fail(*task.results(i), failure);
        }
    }
    retire(task);
}

FailurePtr Engine::caught(const Task& task, graph::Doing doing) const {
    return graph::failure_from_current_exception(graph::name_of(task),
                                                 static_cast<std::uint32_t>(index(self())), doing);
}

FailurePtr Engine::cancelled(const Task& task) const {
    auto failure = std::make_shared<graph::Failure>();
    failure->kind = graph::FailureKind::cancelled;
    failure->function = graph::name_of(task);
    failure->rank = static_cast<std::uint32_t>(index(self()));
    failure->message = failure->function + " was cancelled";
    return failure;
}

void Engine::cancel(Object& object, bool recursive) {
    std::vector<detail::CellPtr> results;
    FailurePtr failure;
    Rank where{};
    TaskKey key{};
    bool sent = false, children = false, stream = false;
    if (graph::claim_promised(object)) return graph::fail(object, promise_cancelled());
    {
        std::unique_lock guard(object.lock);
        Task* const task = object.producer;
        if (task == nullptr) {
            guard.unlock();
            if (exchange.cancel_at_owner(object, recursive)) return;
            return streams.close(object);
        }
        stream = task->info->stream;
        task->cancelled.store(true);
        dispatcher.cancel_begins();
        Task::Phase phase = task->phase.load();
        const bool constructs = task->info->actor != nullptr;
        while ((phase == Task::Phase::waiting || phase == Task::Phase::queued) && !constructs) {
            for (std::uint32_t i = 0; i < task->info->results && results.size() <= i; ++i) {
                results.push_back(detail::CellPtr::share(*task->results(i)));
            }
            if (!failure) failure = cancelled(*task);
            if (task->phase.compare_exchange_strong(phase, Task::Phase::over)) break;
        }
        if (phase == Task::Phase::sent) {
            sent = true;
            where = task->where;
            key = task->key;
        }
        if (phase == Task::Phase::sent || phase == Task::Phase::running) results.clear();
        graph::Scope* const scope = task->children.load();
        if (recursive && scope != nullptr) {
            scope->cancel();
            children = true;
        }
    }
    for (const detail::CellPtr& result : results) graph::fail(Object::of(*result), failure);
    if (sent) dispatcher.cancel(where, key, recursive);
    if (children) dispatcher.cancel_children();
    if (stream) streams.close(object);
    resources.wake_waiting();
    waits.wake_cancelled();
}

/// A holder of one of this rank's objects wants it no more; it may be done or gone by now.
void Engine::on_cancel_object(const wire::CancelObject& message) {
    if (const detail::CellPtr cell = exchange.find_owned(message.object)) {
        cancel(Object::of(*cell), message.recursive);
    }
}

// ---- transport::Delegate ----

void Engine::on_record(Rank from, std::span<const std::byte> record) {
    try {
        wire::RecordReader reader(record);
        const Kind kind = reader.get<Kind>();
        if (last_word.begun() && kind != Kind::broken) return;
        handle(from, kind, reader);
    } catch (const std::exception& error) {
        end_job("rank " + std::to_string(index(from)) + " sent what rank " +
                std::to_string(index(self())) + " cannot accept: " + error.what());
    }
}

/// Each message is read and checked here, and given to the part that it is for.
void Engine::handle(Rank from, Kind kind, wire::RecordReader& reader) {
    const Network& net = network;
    switch (kind) {
        case Kind::task: {
            const auto task = net.read<wire::RunTask>(reader);
            return dispatcher.on_task(from, kind, {}, task.head, reader);
        }
        case Kind::spawn: {
            const auto spawn = net.read<wire::Spawn>(reader);
            return dispatcher.on_task(from, kind, spawn.actor, spawn.head, reader);
        }
        case Kind::call: {
            const auto call = net.read<wire::Call>(reader);
            return dispatcher.on_task(from, kind, call.actor, call.head, reader);
        }
        case Kind::result:
            return dispatcher.on_result(from, net.read<wire::Result>(reader), reader);
        case Kind::recall: return dispatcher.on_recall(from, net.read<wire::Recall>(reader));
        case Kind::returned: return dispatcher.on_returned(from, net.read<wire::Returned>(reader));
        case Kind::room: return dispatcher.on_room(from, net.read<wire::Room>(reader));
        case Kind::cancel: return dispatcher.on_cancel(from, net.read<wire::Cancel>(reader));
        case Kind::cancel_object: return on_cancel_object(net.read<wire::CancelObject>(reader));
        case Kind::subscribe: return exchange.on_subscribe(from, net.read<wire::Subscribe>(reader));
        case Kind::done: return exchange.on_done(net.read<wire::Done>(reader));
        case Kind::fetch: return exchange.on_fetch(from, net.read<wire::Fetch>(reader));
        case Kind::value: return exchange.on_value(from, net.read<wire::Value>(reader), reader);
        case Kind::grant: return exchange.on_grant(net.read<wire::Grant>(reader));
        case Kind::release: return exchange.on_release(from, net.read<wire::Release>(reader));
        case Kind::drop: return exchange.on_drop(net.read<wire::Drop>(reader));
        case Kind::end_actor: return actors.on_end(net.read<wire::EndActor>(reader));
        case Kind::kill_actor: return actors.on_kill(net.read<wire::KillActor>(reader));
        case Kind::watch_actor: return actors.on_watch(from, net.read<wire::WatchActor>(reader));
        case Kind::ask_actor: return actors.on_ask(from, net.read<wire::AskActor>(reader));
        case Kind::actor_dead: return actors.on_dead(net.read<wire::ActorDead>(reader), reader);
        case Kind::name: return names.on_name(from, net.read<wire::Name>(reader));
        case Kind::named: return names.on_named(net.read<wire::Named>(reader));
        case Kind::find: return names.on_find(net.read<wire::Find>(reader));
        case Kind::found: return names.on_found(net.read<wire::Found>(reader), reader);
        case Kind::item: return streams.on_item(from, net.read<wire::Item>(reader), reader);
        case Kind::consumed: return streams.on_consumed(from, net.read<wire::Consumed>(reader));
        case Kind::hold_group:
            return groups.on_hold(from, net.read<wire::HoldGroup>(reader), reader);
        case Kind::held_group: return groups.on_held(from, net.read<wire::HeldGroup>(reader));
        case Kind::free_group: return groups.on_free(from, net.read<wire::FreeGroup>(reader));
        case Kind::output:
            return printer_.print(static_cast<unsigned>(index(from)),
                                  net.read<wire::Output>(reader).line);
        case Kind::ask_output: return forwarder.on_ask(from, net.read<wire::AskOutput>(reader));
        case Kind::output_done: return forwarder.on_answer(net.read<wire::OutputDone>(reader));
        case Kind::stalled: return stall_watch.on_stalled(from, net.read<wire::Stalled>(reader));
        case Kind::waits: return stall_watch.on_waits(net.read<wire::Waits>(reader), reader);
        case Kind::finish: return on_finish(from, net.read<wire::Finish>(reader));
        case Kind::handles:
            return handle_circles.on_handles(net.read<wire::Handles>(reader), reader);
        case Kind::broken: return last_word.hear(from, net.read<wire::Broken>(reader));
    }
    throw Error("a record of no known kind");
}

}  // namespace mobula::runtime
