// SPDX-License-Identifier: Apache-2.0
#include "runtime/actors.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include <mobula/archive.hpp>

#include "runtime/engine.hpp"
#include "runtime/stall_watch.hpp"

namespace mobula::runtime {

using wire::Kind;
using wire::RecordReader;
using wire::RecordWriter;

namespace {

/// Callers that are actors get numbers apart from those of tasks.
constexpr std::uint64_t actor_callers = std::uint64_t{1} << 63U;

FailurePtr died(const std::string& reason) {
    auto failure = std::make_shared<graph::Failure>();
    failure->kind = graph::FailureKind::actor_died;
    failure->message = reason;
    return failure;
}

std::string constructor_failed(const graph::Failure& why) {
    return "the actor's constructor failed: " + why.sentence();
}

/// What is left of an actor whose life is over: the user's object, and what it held. Its
/// destructor is the user's code and may use the engine, so it runs as a task: this is its one
/// argument.
struct Remains {
    const detail::ActorInfo* info;
    void* self;
    bool constructed;
    std::unique_ptr<graph::TaskExtra> held;

    ~Remains() { bury(); }
    void bury() noexcept {
        if (self == nullptr) return;
        if (constructed) info->destroy(self);
        ::operator delete(std::exchange(self, nullptr), std::align_val_t{info->alignment});
    }
};

constexpr detail::FunctionInfo end_of_actor{
    [] { return std::string("the end of an actor"); },
    sizeof(Remains),
    0,
    false,
    nullptr,
    [](Task&, void* arguments, void*) {
        auto& remains = *static_cast<Remains*>(arguments);
        remains.bury();
        if (remains.held) Engine::current().resources.release(*remains.held);
    },
    [](void*, detail::InputVisitor, void*) {},
    [](const void*, detail::Writer&) {},
    [](detail::Reader&, void*) {},
    [](void* arguments) noexcept { static_cast<Remains*>(arguments)->~Remains(); },
    nullptr};

}  // namespace

Actors::~Actors() {
    for (auto& [id, instance] : instances_) {
        Remains{instance->info, instance->self, instance->constructed, {}}.bury();
    }
}

// ---- the caller's side ----

detail::CellPtr Actors::spawn(Task& task, const ActorOptions& options) {
    graph::TaskExtra& extra = graph::extra_of(task);
    extra.options.name = options.name;
    extra.options.cpus = options.cpus;
    extra.options.gpus = options.gpus;
    extra.options.resources = options.resources;
    extra.options.placement = options.placement;
    extra.options.max_retries = 0;
    extra.max_concurrency = std::max(options.max_concurrency, 1U);
    extra.demands = options.cpus > 0 || options.gpus > 0 || !options.resources.empty() ||
                    options.placement.kind == Placement::Kind::bundle;
    Rank rank{};
    try {
        rank = engine_.resources.choose_for_actor(extra.options, extra.demands);
    } catch (...) {
        graph::destroy_arguments(task);
        graph::free_task(task);
        throw;
    }
    Object& cell = *task.result;
    const ObjectId id = engine_.exchange.publish(cell, &rank);
    task.actor = detail::CellPtr::share(cell).release();
    detail::CellPtr handle = detail::CellPtr::share(cell);
    if (!options.name.empty()) {
        try {
            engine_.names.enter(options.name, id, rank);
        } catch (...) {
            graph::destroy_arguments(task);
            graph::free_task(task);
            throw;
        }
    }
    // Nothing waits before a constructor, but it is a line's first call all the same.
    call(cell, task);
    return handle;
}

void Actors::call(Object& actor, Task& task) {
    if (task.actor == nullptr) task.actor = detail::CellPtr::share(actor).release();
    static const graph::InputEvents events{
        [](detail::Waiter& waiter) noexcept {
            Task& waiting = *static_cast<detail::Input&>(waiter).task;
            if (graph::arrived(waiting)) Engine::current().actors.line_ready(waiting);
        },
        [](Object& object, bool value) { Engine::current().exchange.want(object, value); }};

    const worker::Frame* const frame = worker::Team::frame();
    const LineKey key{frame == nullptr ? 0 : frame->caller, &actor};
    Lock lock(lines_mutex_);
    const auto found = lines_.find(key);
    // A call that must wait for others, or for its inputs, needs its line's address.
    if (found == lines_.end()) {
        if (graph::await_inputs(task, false, events)) {
            lock.unlock();
            return dispatch(task);
        }
        auto line = std::make_unique<Line>();
        line->key = key;
        line->calls.push_back(&task);
        graph::extra_of(task).line = line.get();
        lines_.emplace(key, std::move(line));
        lock.unlock();
        return watch(actor);
    }
    Line& line = *found->second;
    line.calls.push_back(&task);
    graph::extra_of(task).line = &line;
    const bool ready = graph::await_inputs(task, false, events);
    lock.unlock();
    if (ready) line_ready(task);
    watch(actor);  // also one that is ready may stay behind an earlier one
}

/// Calls wait for their inputs on this rank: should the actor die, they must not wait on.
void Actors::watch(Object& actor) {
    const Exchange::WatchedActor watched = engine_.exchange.watch_actor(actor);
    FailurePtr death = watched.death;
    if (watched.rank == engine_.self()) {
        Lock lock(mutex_);
        death = instance(watched.id).dead;
    } else if (watched.first) {
        RecordWriter record(Kind::watch_actor);
        record.put(watched.id);
        engine_.network.send(watched.rank, record);
    }
    if (death) fail_lines(watched.id, death);
}

/// Those calls keep their places until their inputs come, and are dropped then.
void Actors::fail_lines(const ObjectId& id, const FailurePtr& death) {
    std::vector<detail::CellPtr> results;
    {
        Lock lock(lines_mutex_);
        for (const auto& [key, line] : lines_) {
            for (Task* task : line->calls) {
                if (engine_.exchange.actor_of(Object::of(*task->actor)).first != id) break;
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

/// The call's inputs exist: it goes out, with all that wait behind it and are ready too, unless an
/// earlier one is not.
void Actors::line_ready(Task& task) {
    Lock lock(lines_mutex_);
    task.bound = true;  // marks that it may leave its line
    auto* const line = static_cast<Line*>(task.extra->line);
    while (!line->calls.empty() && line->calls.front()->bound) {
        Task& first = *line->calls.front();
        line->calls.pop_front();
        first.bound = false;
        // Out under the lock: a later call of this caller must not overtake it.
        dispatch(first);
    }
    if (line->calls.empty()) lines_.erase(LineKey(line->key));
}

void Actors::dispatch(Task& task) {
    const auto [id, rank] = engine_.exchange.actor_of(Object::of(*task.actor));
    const bool construct = task.info->actor != nullptr;
    if (rank != engine_.self()) return engine_.dispatcher.send(task, rank);
    receive(task, id, construct);
    arrive(task);
}

void Actors::kill(Object& actor) {
    const auto [id, rank] = engine_.exchange.actor_of(actor);
    kill(id, rank, "the actor was killed by rank " + std::to_string(index(engine_.self())));
}

void Actors::kill(const ObjectId& id, Rank rank, const std::string& reason) {
    if (rank == engine_.self()) return kill_here(id, reason);
    RecordWriter record(Kind::kill_actor);
    record.put(id).text(reason);
    engine_.network.send(rank, record);
}

void Actors::kill_there(const Task& constructor, Rank rank, const graph::Failure& why) {
    const ObjectId id = engine_.exchange.actor_of(Object::of(*constructor.actor)).first;
    kill(id, rank, constructor_failed(why));
}

void Actors::ended(const ObjectId& id, Rank rank) {
    engine_.names.leave(id);
    if (rank == engine_.self()) return end(id);
    RecordWriter record(Kind::end_actor);
    record.put(id);
    engine_.network.send(rank, record);
}

// ---- the actor's rank ----

Actors::Instance& Actors::instance(const ObjectId& id) {
    std::unique_ptr<Instance>& entry = instances_[id];
    if (!entry) {
        entry = std::make_unique<Instance>();
        entry->id = id;
        entry->caller = actor_callers + next_caller_++;
    }
    return *entry;
}

void Actors::receive(Task& task, const ObjectId& id, bool construct) {
    Lock lock(mutex_);
    Instance& target = instance(id);
    graph::extra_of(task).actor = &target;
    task.bound = true;
    if (construct) {
        target.info = task.info->actor;
        target.max_concurrency = task.extra->max_concurrency;
        target.name = task.extra->options.name;
        target.constructor = &task;
    } else {
        target.mailbox.push_back(&task);
    }
}

void Actors::withdraw(Task& task, const graph::Failure& why) {
    Lock lock(mutex_);
    auto& target = *static_cast<Instance*>(task.extra->actor);
    const ObjectId id = target.id;
    const bool constructs = target.constructor == &task;
    if (constructs) {
        target.constructor = nullptr;
        if (!target.dead) target.dead = died(constructor_failed(why));
    } else {
        std::erase(target.mailbox, &task);
    }
    pump(target, lock);
    if (constructs) tell_of_death(id);
}

void Actors::never_began(const ObjectId& id, const graph::Failure& why) {
    kill_here(id, constructor_failed(why));
}

void Actors::arrive(Task& task) {
    static const graph::InputEvents events{
        [](detail::Waiter& waiter) noexcept {
            Task& waiting = *static_cast<detail::Input&>(waiter).task;
            if (graph::arrived(waiting)) Engine::current().actors.arrive_here(waiting);
        },
        [](Object& object, bool value) { Engine::current().exchange.want(object, value); }};
    if (graph::await_inputs(task, true, events)) arrive_here(task);
}

/// All that the call needs is on this rank.
void Actors::arrive_here(Task& task) {
    Lock lock(mutex_);
    static_cast<void>(task.advance(Task::Phase::queued));
    pump(*static_cast<Instance*>(task.extra->actor), lock);
}

bool Actors::over(const Instance& instance) const {
    return instance.ended && instance.constructor == nullptr && !instance.constructing &&
           instance.running == 0 && instance.mailbox.empty();
}

/// Starts what may start. Gives the lock up.
void Actors::pump(Instance& instance, Lock& lock) {
    std::vector<Task*> start, refused;
    const auto arrived = [](const Task& task) {
        const Task::Phase phase = task.phase.load(std::memory_order_acquire);
        return phase == Task::Phase::queued || phase == Task::Phase::over;
    };
    if (instance.dead) {
        while (!instance.mailbox.empty() && arrived(*instance.mailbox.front())) {
            refused.push_back(instance.mailbox.front());
            instance.mailbox.pop_front();
        }
        if (instance.constructor != nullptr && !instance.constructing &&
            arrived(*instance.constructor)) {
            refused.push_back(std::exchange(instance.constructor, nullptr));
        }
    } else if (!instance.constructed) {
        if (instance.constructor != nullptr && !instance.constructing &&
            arrived(*instance.constructor)) {
            instance.constructing = true;
            start.push_back(instance.constructor);
        }
    } else {
        while (instance.running < instance.max_concurrency && !instance.mailbox.empty() &&
               arrived(*instance.mailbox.front())) {
            Task* const task = instance.mailbox.front();
            instance.mailbox.pop_front();
            ++instance.running;
            instance.under_way.push_back(task);
            start.push_back(task);
        }
    }
    const FailurePtr dead = instance.dead;
    const bool ends = over(instance);
    const bool idle = instance.running == 0 && !instance.constructing;
    if (ends || (dead && idle)) {
        if (Task* const end = take_remains(instance)) start.push_back(end);
    }
    if (ends) instances_.erase(ObjectId(instance.id));
    lock.unlock();
    for (Task* task : refused) engine_.fail(*task, dead);
    for (Task* task : start) engine_.enqueue(*task);
}

/// The task that destroys the user's object, if there is one.
Task* Actors::take_remains(Instance& instance) {
    if (instance.self == nullptr) return nullptr;
    Task* const end = graph::new_task(end_of_actor, 1);
    end->bound = true;
    new (graph::arguments(*end)) Remains{instance.info, std::exchange(instance.self, nullptr),
                                         instance.constructed, std::move(instance.held)};
    return end;
}

void* Actors::prepare(Task& task, FailurePtr& failure) {
    Lock lock(mutex_);
    auto& target = *static_cast<Instance*>(task.extra->actor);
    if (target.dead) {
        failure = target.dead;
        return nullptr;
    }
    if (task.info->actor != nullptr) {
        target.self =
            ::operator new(task.info->actor->size, std::align_val_t{task.info->actor->alignment});
    }
    return target.self;
}

void Actors::finished(Task& task, const FailurePtr& failure) {
    Lock lock(mutex_);
    auto& target = *static_cast<Instance*>(task.extra->actor);
    if (task.info->actor != nullptr) {
        target.constructor = nullptr;
        target.constructing = false;
        if (failure) {
            target.dead = target.dead ? target.dead : died(constructor_failed(*failure));
            ::operator delete(target.self, std::align_val_t{target.info->alignment});
            target.self = nullptr;
        } else {
            target.constructed = true;
            if (task.extra->holds) {
                // What the constructor took stays with the actor.
                target.held = std::make_unique<graph::TaskExtra>(*task.extra);
                task.extra->holds = false;
            }
        }
    } else {
        --target.running;
        std::erase(target.under_way, &task);
    }
    const ObjectId id = target.id;
    const bool has_died = failure && task.info->actor != nullptr;
    pump(target, lock);
    if (has_died) tell_of_death(id);
}

void Actors::end(const ObjectId& id) {
    Lock lock(mutex_);
    Instance& target = instance(id);
    target.ended = true;
    if (over(target)) pump(target, lock);
}

void Actors::kill_here(const ObjectId& id, const std::string& reason) {
    Lock lock(mutex_);
    Instance& target = instance(id);
    if (!target.dead) target.dead = died(reason);
    for (Task* task : target.under_way) task->cancelled.store(true);
    pump(target, lock);
    engine_.waits.wake_cancelled();
    tell_of_death(id);
}

/// To those who have calls that wait for their inputs.
void Actors::tell_of_death(const ObjectId& id) {
    FailurePtr death;
    std::vector<Rank> watchers;
    std::string name;
    {
        Lock lock(mutex_);
        const auto found = instances_.find(id);
        if (found == instances_.end()) return;  // no handle is left, so no call either
        death = found->second->dead;
        watchers.swap(found->second->watchers);
        name.swap(found->second->name);
    }
    if (!name.empty()) engine_.names.died(id, name);
    for (const Rank rank : watchers) send_death(rank, id, *death);
    fail_lines(id, death);
}

void Actors::send_death(Rank to, const ObjectId& id, const graph::Failure& death) {
    detail::Writer writer;
    death.encode(writer);
    RecordWriter record(Kind::actor_dead);
    record.put(id).bytes(writer.stream().data(), writer.stream().size());
    engine_.network.send(to, record);
}

void Actors::on_watch(Rank from, RecordReader& reader) {
    const auto id = reader.get<ObjectId>();
    FailurePtr death;
    {
        Lock lock(mutex_);
        Instance& target = instance(id);
        death = target.dead;
        if (!death) target.watchers.push_back(from);
    }
    if (death) send_death(from, id, *death);
}

void Actors::on_dead(RecordReader& reader) {
    const auto id = reader.get<ObjectId>();
    detail::Reader encoded(reader.rest(), {}, {});
    const auto death = std::make_shared<graph::Failure>(graph::Failure::decode(encoded));
    engine_.exchange.note_death(id, death);
    fail_lines(id, death);
}

void Actors::on_end(RecordReader& reader) { end(reader.get<ObjectId>()); }

void Actors::on_kill(RecordReader& reader) {
    const auto id = reader.get<ObjectId>();
    kill_here(id, std::string(reader.text()));
}

std::uint64_t Actors::caller_of(const Task& task) noexcept {
    return static_cast<const Instance*>(task.extra->actor)->caller;
}

const std::vector<unsigned>* Actors::gpus_of(const Task& task) noexcept {
    const auto* const target = static_cast<const Instance*>(task.extra->actor);
    return target->held ? &target->held->gpus : nullptr;
}

void Actors::list(std::vector<Waiting>& all) {
    const Rank self = engine_.self();
    Lock lock(mutex_);
    for (const auto& [id, target] : instances_) {
        for (Task* task : target->mailbox) {
            Waiting& one = all.emplace_back();
            one.key = waiting_key(*task, self);
            one.name = graph::name_of(*task);
            one.rank = static_cast<unsigned>(index(self));
            one.state = "queued behind other calls";
            for (Task* running : target->under_way) {
                one.targets.push_back({waiting_key(*running, self), graph::name_of(*running)});
            }
        }
    }
}

}  // namespace mobula::runtime
