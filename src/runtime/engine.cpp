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
#include "runtime/failures.hpp"
#include "runtime/running.hpp"
#include "worker/thread_state.hpp"

namespace mobula::runtime {

using graph::State;

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

std::vector<scheduler::Amounts> totals_of(const std::vector<Peer>& peers) {
    std::vector<scheduler::Amounts> totals;
    for (const Peer& peer : peers) totals.push_back(peer.resources);
    return totals;
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
      resources(network, team, totals_of(peers), peers[index(network.self())].gpus),
      waits(*this, network, exchange, team),
      forwarder(network, team, waits),
      dispatcher({.life = *this,
                  .network = network,
                  .team = team,
                  .exchange = exchange,
                  .resources = resources,
                  .functions = functions,
                  .clerk = clerk},
                 {.window = std::chrono::microseconds(options.window_us),
                  .look_period = look_period(peers),
                  .inline_bytes = options.inline_bytes,
                  .locality_bytes = options.locality_bytes,
                  .large_value_bytes = options.large_value_bytes},
                 [this](Rank rank) { return peers[index(rank)].workers; }),
      streams({.network = network,
               .exchange = exchange,
               .team = team,
               .waits = waits,
               .forwarder = forwarder,
               .dispatcher = dispatcher}),
      names(network, exchange, team, waits),
      handle_circles(network, exchange),
      actors({.life = *this,
              .network = network,
              .team = team,
              .exchange = exchange,
              .resources = resources,
              .dispatcher = dispatcher,
              .streams = streams,
              .names = names,
              .handle_circles = handle_circles,
              .clerk = clerk,
              .clock = clock}),
      stall_watch({.network = network,
                   .team = team,
                   .clerk = clerk,
                   .exchange = exchange,
                   .waits = waits,
                   .actors = actors,
                   .resources = resources},
                  options.stall_seconds, end_of_standstill()),
      last_word(network, options.status_file,
                {.describe_sent = [this](Rank rank) { return dispatcher.describe_sent(rank); },
                 .running_name = &running_name,
                 .leave = [this](int code) { leave(code); }}),
      clerk(options.stack_bytes, [this] { flush(); }),
      exist_events_(
          [](Task& task, void* self) noexcept { static_cast<Engine*>(self)->place(task); },
          &Engine::want, this),
      here_events_(
          [](Task& task, void* self) noexcept { static_cast<Engine*>(self)->enqueue(task); },
          &Engine::want, this) {
    instance_ = open_ = this;
    static const int guarded = pthread_atfork(nullptr, nullptr, &close_in_child);
    static_cast<void>(guarded);
}

Engine::~Engine() { instance_ = open_ = nullptr; }

void Engine::throw_not_running() {
    if (instance_ != nullptr) end_forked_child();
    throw Error("mobula was used outside of mobula::run: there is no engine");
}

void Engine::want(Object& object, bool value, void* self) {
    static_cast<Engine*>(self)->exchange.want(object, value);
}

/// What a standstill does to the job, where its user has asked for more than a report.
std::function<void(const std::string&)> Engine::end_of_standstill() {
    if (!options.stall_abort) return nullptr;
    return [this](const std::string& sentence) { end_job(sentence); };
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
    network.drive();
    if (!worker::Team::on_worker() || Encoding::now()) return;
    while (graph::tasks_alive() > options.pending_max || dispatcher.backlogged()) {
        waits.check_cancelled();
        network.drive();
        team.yield();
    }
}

void Engine::submit(Task& task, const TaskOptions* given) {
    worker::Frame* const frame = worker::Team::frame();
    try {
        if (frame != nullptr && frame->task != nullptr) {
            if (graph::is_cancelled(*frame->task))
                failure_of_cancelled(*frame->task, self())->raise();
            task.scope = scope_for_children(*frame->task);
        }
        if (given != nullptr) apply_options(task, *given);
    } catch (...) {
        // Nobody can wait for its results, but a stream asks who makes it when it goes.
        fail(task, failure_of_caught(task, self()));
        throw;
    }
    if (task.info->stream) streams.open(*task.result);
    if (graph::await_inputs(task, false, exist_events_)) place(task);
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
    if (network.alone() || graph::await_inputs(task, true, here_events_)) enqueue(task);
}

void Engine::enqueue(Task& task) {
    // One that was cancelled goes through the queue as well: who takes it out frees it.
    static_cast<void>(task.advance(Task::Phase::queued));
    if (task.extra != nullptr && task.extra->demands && !task.extra->holds) {
        if (network.alone()) task.bound = true;  // as placing has marked it where there are others
        try {
            if (!resources.take(task)) return;
        } catch (...) {
            FailurePtr failure = failure_of_caught(task, self());
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
            failure = failure_of_cancelled(task, self());  // finished() knows the reason
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
        failure = failure_of_caught(
            task, self(), decoding ? graph::Doing::decoding_argument : graph::Doing::running);
    }
    if (open_ == nullptr) [[unlikely]]
        end_forked_child();
    worker::Team::frame() = outer;
}

void Engine::execute(Task& task) noexcept {
    FailurePtr failure;
    if (graph::is_cancelled(task) || !task.advance(Task::Phase::running)) {
        failure = failure_of_cancelled(task, self());
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

void Engine::fail_unsent(Task& task, Rank to, const FailurePtr& failure) noexcept {
    if (task.info->actor != nullptr) actors.kill_there(task, to, *failure);
    fail(task, failure);
}

TaskLife::Lent Engine::sleeps(const Task& task) noexcept {
    if (task.extra != nullptr && task.extra->holds) {
        resources.lend(*task.extra);
        return Lent::own;
    }
    if (task.instance == nullptr) return Lent::nothing;
    actors.method_waits(task);
    return Lent::of_its_actor;
}

void Engine::goes_on(const Task& task, Lent lent) noexcept {
    // What it held when it fell asleep may have gone with its placement group.
    if (lent == Lent::own) resources.take_back(*task.extra);
    if (lent == Lent::of_its_actor) actors.method_goes_on(task);
}

TaskMark Engine::mark_of(const Task& task) const noexcept { return Actors::mark_of(task, self()); }

void Engine::wake_cancelled() noexcept {
    resources.wake_waiting();
    waits.wake_cancelled();
}

void Engine::cancel(Object& object, bool recursive) {
    std::vector<detail::CellPtr> results;
    FailurePtr failure;
    Rank where{};
    TaskKey key{};
    bool sent = false, children = false, stream = false;
    if (graph::claim_promised(object))
        return graph::fail(object, failure_of_cancelled_promise(self()));
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
            if (!failure) failure = failure_of_cancelled(*task, self());
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
    wake_cancelled();
}

}  // namespace mobula::runtime
