// SPDX-License-Identifier: Apache-2.0

/// Actors on the rank where they live.

#include <algorithm>
#include <memory>
#include <new>
#include <utility>

#include <mobula/archive.hpp>

#include "runtime/actors.hpp"

namespace mobula::runtime {

namespace {

/// Callers that are actors get numbers apart from those of tasks.
constexpr std::uint64_t actor_callers = std::uint64_t{1} << 63U;

/// What is left of an actor whose life is over: the user's object, and what it held. Its
/// destructor is the user's code and may use the engine, so it runs as a task: this is its one
/// argument.
struct Remains {
    const detail::ActorInfo* info;
    void* self;
    bool constructed;
    std::unique_ptr<graph::TaskExtra> held;
    ResourceGate* resources;

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
        if (remains.held) remains.resources->release(*remains.held);
    },
    [](void*, detail::InputVisitor, void*) {},
    [](const void*, detail::Writer&) {},
    [](detail::Reader&, void*) { return false; },
    [](detail::Reader&, void*) {},
    [](void* arguments) noexcept { static_cast<Remains*>(arguments)->~Remains(); },
    nullptr};

}  // namespace

void Actors::drain() noexcept {
    unnamed_.clear();
    for (auto& [key, line] : std::exchange(lines_, {})) {
        while (Task* const call = line.calls.pop()) graph::abandon(*call);
    }
    // Their destructors may drop the last handles of others, which changes the table.
    const auto instances = std::exchange(instances_, {});
    HandleCircles::Look look(handle_circles_, instances.size());
    for (const auto& [id, instance] : instances) {
        Remains{instance->info, instance->self, instance->constructed, {}, &resources_}.bury();
        const bool lived = instance->constructed && !instance->ended && !instance->dead;
        if (lived) look.destroyed(id, title_of(*instance));
    }
}

/// For people.
std::string Actors::title_of(const Instance& instance) {
    return instance.name.empty() ? instance.made_by->name() : "actor " + instance.name;
}

Actors::Instance& Actors::instance(const ObjectId& id) {
    std::unique_ptr<Instance>& entry = instances_[id];
    if (!entry) {
        entry = std::make_unique<Instance>();
        entry->id = id;
        entry->caller = actor_callers + next_caller_++;
    }
    return *entry;
}

void Actors::on_spawn(Rank from, const wire::Spawn& message, wire::RecordReader& tail) {
    on_task(from, wire::Kind::spawn, message.actor, message.head, tail);
}

void Actors::on_call(Rank from, const wire::Call& message, wire::RecordReader& tail) {
    on_task(from, wire::Kind::call, message.actor, message.head, tail);
}

void Actors::on_task(Rank from, wire::Kind kind, const ObjectId& id, const wire::TaskHead& head,
                     wire::RecordReader& tail) {
    check_arrival(id, dispatcher_.function_of(kind, head));
    const bool construct = kind == wire::Kind::spawn;
    auto [task, arrived, failure] = dispatcher_.receive(from, kind, head, tail);
    if (failure) {
        if (construct) never_began(id, *failure);
        return dispatcher_.refuse(*task, *failure);
    }
    if (arrived.parts.empty()) return receive(*task, id, construct);
    expect(*task, id, construct);
    dispatcher_.fetch_arguments(*task, std::move(arrived),
                                [this, task = task](const FailurePtr& refused) {
                                    if (refused) return withdraw(*task, *refused);
                                    arrive(*task);
                                });
}

/// Throws Error where another rank's call does not fit the actor, as far as it is known yet, or its
/// constructor comes again.
void Actors::check_arrival(const ObjectId& id, const detail::FunctionInfo& info) {
    Lock lock(lock_);
    const auto found = instances_.find(id);
    if (found == instances_.end() || found->second->info == nullptr) return;
    if (info.actor != nullptr) throw Error("a record makes an actor that is made already");
}

Actors::Instance& Actors::enter(Task& task, const ObjectId& id, bool construct) {
    Instance& target = instance(id);
    task.instance = &target;
    task.bound = true;
    if (construct) {
        const graph::TaskExtra& extra = graph::extra_of(task);
        target.info = task.info->actor;
        target.made_by = task.info;
        target.max_concurrency = extra.max_concurrency;
        target.priority = extra.options.priority;
        target.name = extra.options.name;
        target.named = !target.name.empty();
        target.constructor = &task;
    } else {
        target.mailbox.push_back({&task, clock_.now()});
    }
    return target;
}

/// A call or the constructor arrived: takes its place in the mailbox, and runs in its turn once the
/// bytes of its inputs are here.
void Actors::receive(Task& task, const ObjectId& id, bool construct) {
    const bool waits = graph::has_inputs(task);
    Lock lock(lock_);
    Instance& target = enter(task, id, construct);
    if (waits) {
        lock.unlock();
        return arrive(task);
    }
    task.here = true;
    static_cast<void>(task.advance(Task::Phase::queued));
    pump(target, lock);
}

/// The same while its arguments are under way: only takes its place, until arrive().
void Actors::expect(Task& task, const ObjectId& id, bool construct) {
    Lock lock(lock_);
    enter(task, id, construct);
}

/// What was received cannot be run after all: it leaves the mailbox.
void Actors::withdraw(Task& task, const graph::Failure& why) {
    Lock lock(lock_);
    auto& target = *static_cast<Instance*>(task.instance);
    const ObjectId id = target.id;
    const bool constructs = target.constructor == &task;
    if (constructs) {
        target.constructor = nullptr;
        if (!target.dead) target.dead = died(constructor_failed(why));
    } else {
        std::erase_if(target.mailbox, [&](const Queued& queued) { return queued.task == &task; });
    }
    pump(target, lock);
    if (constructs) tell_of_death(id);
}

/// The constructor could not even be received.
void Actors::never_began(const ObjectId& id, const graph::Failure& why) {
    kill_here(id, constructor_failed(why));
}

/// Its arguments are here.
void Actors::arrive(Task& task) {
    if (graph::await_inputs(task, true, here_events_)) arrive_here(task);
}

/// All that the call needs is on this rank.
void Actors::arrive_here(Task& task) {
    Lock lock(lock_);
    task.here = true;
    static_cast<void>(task.advance(Task::Phase::queued));
    pump(*static_cast<Instance*>(task.instance), lock);
}

bool Actors::over(const Instance& instance) const {
    return instance.ended && instance.constructor == nullptr && !instance.constructing &&
           instance.running == 0 && instance.mailbox.empty();
}

/// Starts what may start. Gives the lock up. What still waits for its inputs stays, cancelled or
/// not, for they will touch it: whether it is here, and not its phase, says that they are done.
void Actors::pump(Instance& instance, Lock& lock) {
    graph::TaskList start, refused;
    if (instance.dead) {
        while (!instance.mailbox.empty() && instance.mailbox.front().task->here) {
            refused.push(*instance.mailbox.front().task);
            instance.mailbox.pop_front();
        }
        if (instance.constructor != nullptr && !instance.constructing &&
            instance.constructor->here) {
            refused.push(*std::exchange(instance.constructor, nullptr));
        }
    } else if (!instance.constructed) {
        if (instance.constructor != nullptr && !instance.constructing &&
            instance.constructor->here) {
            instance.constructing = true;
            start.push(*instance.constructor);
        }
    } else {
        while (instance.running < instance.max_concurrency && !instance.mailbox.empty() &&
               instance.mailbox.front().task->here) {
            Task* const task = instance.mailbox.front().task;
            instance.mailbox.pop_front();
            ++instance.running;
            instance.under_way.push_back(task);
            if (instance.priority != 0 && (task->extra == nullptr || !task->extra->own_priority)) {
                graph::extra_of(*task).options.priority = instance.priority;
            }
            start.push(*task);
        }
    }
    const bool lent = settle_cpus(instance);
    const FailurePtr dead = instance.dead;
    const bool ends = over(instance);
    const bool idle = instance.running == 0 && !instance.constructing;
    if (ends || (dead && idle)) {
        if (Task* const end = take_remains(instance)) start.push(*end);
    }
    if (ends) instances_.erase(ObjectId(instance.id));
    lock.unlock();
    if (lent) resources_.wake_waiting();
    while (Task* const task = refused.pop()) life_.fail(*task, dead);
    while (Task* const task = start.pop()) life_.enqueue(*task);
}

/// Lends the actor's CPUs while all methods that are under way wait, and takes them back. Whether
/// others may have them now. The lock is held.
bool Actors::settle_cpus(Instance& instance) {
    if (!instance.held || instance.held->options.cpus == 0) return false;
    const bool lends = instance.running != 0 && instance.waiting == instance.running;
    if (instance.held->lends == lends) return false;
    resources_.set_lends(*instance.held, lends);
    return lends;
}

void Actors::method_waits(const Task& method) {
    auto& target = *static_cast<Instance*>(method.instance);
    // The actor keeps what it holds as long as a method is under way.
    if (!target.held) return;
    bool lent = false;
    {
        Lock lock(lock_);
        ++target.waiting;
        lent = settle_cpus(target);
    }
    if (lent) resources_.wake_waiting();
}

void Actors::method_goes_on(const Task& method) {
    auto& target = *static_cast<Instance*>(method.instance);
    if (!target.held) return;
    Lock lock(lock_);
    --target.waiting;
    static_cast<void>(settle_cpus(target));
}

/// The task that destroys the user's object, if there is one.
Task* Actors::take_remains(Instance& instance) {
    if (instance.self == nullptr) return nullptr;
    Task* const end = graph::new_task(end_of_actor, 1);
    end->bound = end->here = true;  // others may wait for what it gives back
    if (instance.priority != 0) graph::extra_of(*end).options.priority = instance.priority;
    new (graph::arguments(*end))
        Remains{instance.info, std::exchange(instance.self, nullptr), instance.constructed,
                std::move(instance.held), &resources_};
    return end;
}

void* Actors::prepare(Task& task) {
    auto& target = *static_cast<Instance*>(task.instance);
    // While a method is under way the actor stays, and so it needs no lock.
    if (task.info->actor == nullptr) {
        return task.info->method_of == target.info ? target.self : nullptr;
    }
    resources_.begin(*task.extra);
    Lock lock(lock_);
    if (target.dead) return nullptr;
    target.self =
        ::operator new(task.info->actor->size, std::align_val_t{task.info->actor->alignment});
    return target.self;
}

FailurePtr Actors::finished(Task& task, FailurePtr failure) {
    // What the constructor took stays with the actor.
    std::unique_ptr<graph::TaskExtra> held;
    if (task.info->actor != nullptr && !failure && task.extra->holds) {
        held = resources_.keep(task);
    }
    Lock lock(lock_);
    auto& target = *static_cast<Instance*>(task.instance);
    if (failure && failure->kind == graph::FailureKind::cancelled) {
        if (target.dead) {
            failure = target.dead;
        } else if (task.info->actor == nullptr && task.info->method_of != target.info) {
            failure = of_another_class(task);
        }
    }
    if (task.info->actor != nullptr) {
        target.constructor = nullptr;
        target.constructing = false;
        if (failure) {
            target.dead = target.dead ? target.dead : died(constructor_failed(*failure));
            ::operator delete(target.self, std::align_val_t{target.info->alignment});
            target.self = nullptr;
        } else {
            target.constructed = true;
            target.held = std::move(held);
        }
    } else {
        --target.running;
        std::erase(target.under_way, &task);
    }
    const ObjectId id = target.id;
    const bool has_died = failure && task.info->actor != nullptr;
    pump(target, lock);
    if (has_died) tell_of_death(id);
    return failure;
}

void Actors::end(const ObjectId& id) {
    // At the job's end ranks destroy their actors, and with them the handles of others: drain()
    // destroys those as well, and sees whose handles they held.
    if (team_.stopping()) return;
    Lock lock(lock_);
    const auto found = instances_.find(id);
    if (found == instances_.end()) return;  // its constructor never came, or this is told again
    Instance& target = *found->second;
    target.ended = true;
    if (over(target)) pump(target, lock);
}

/// Returns whether nothing was known of the actor here.
bool Actors::kill_here(const ObjectId& id, const std::string& reason) {
    Lock lock(lock_);
    const bool unknown = !instances_.contains(id);
    Instance& target = instance(id);
    if (!target.dead) target.dead = died(reason);
    for (Task* task : target.under_way) task->cancelled.store(true);
    if (target.constructing) target.constructor->cancelled.store(true);
    pump(target, lock);
    life_.wake_cancelled();
    tell_of_death(id);
    return unknown;
}

/// Another rank spoke of an actor that is not known here. Either its constructor is still to come,
/// or its end, which only the owner's records are in order with, came before and would leave what
/// is noted now for ever: the owner tells the end again then. Sending kills and watches by way of
/// the owner would do as well, but a rank's calls could overtake its kill.
void Actors::ask_owner(const ObjectId& id) {
    if (id.owner == network_.self()) {
        if (!exchange_.find_owned(id)) end(id);
        return;
    }
    network_.send(id.owner, wire::AskActor{id});
}

/// To those who have calls that wait for their inputs.
void Actors::tell_of_death(const ObjectId& id) {
    FailurePtr death;
    std::vector<Rank> watchers;
    bool named = false;
    {
        Lock lock(lock_);
        const auto found = instances_.find(id);
        if (found == instances_.end()) return;  // no handle is left, so no call either
        Instance& target = *found->second;
        death = target.dead;
        watchers.swap(target.watchers);
        // One whose constructor has not come may have a name that only its owner knows.
        named = target.info == nullptr || std::exchange(target.named, false);
    }
    if (named) names_.died(id);
    for (const Rank rank : watchers) send_death(rank, id, *death);
    fail_lines(id, death);
}

void Actors::send_death(Rank to, const ObjectId& id, const graph::Failure& death) {
    detail::Writer writer;
    death.encode(writer);
    wire::Written record(wire::ActorDead{id});
    record.bytes(writer.stream().data(), writer.stream().size());
    network_.send(to, record);
}

void Actors::on_watch(Rank from, const wire::WatchActor& message) {
    const ObjectId& id = message.actor;
    FailurePtr death;
    bool unknown = false;
    {
        Lock lock(lock_);
        unknown = !instances_.contains(id);
        Instance& target = instance(id);
        death = target.dead;
        // A rank asks again when it let go of all handles and got another.
        const auto& watchers = target.watchers;
        const bool first = std::find(watchers.begin(), watchers.end(), from) == watchers.end();
        if (!death && first) target.watchers.push_back(from);
    }
    if (death) send_death(from, id, *death);
    if (unknown && from != id.owner) ask_owner(id);
}

void Actors::on_end(const wire::EndActor& message) { end(message.actor); }

void Actors::on_kill(const wire::KillActor& message) {
    if (kill_here(message.actor, std::string(message.reason))) ask_owner(message.actor);
}

std::uint64_t Actors::caller_of(const Task& task) noexcept {
    return static_cast<const Instance*>(task.instance)->caller;
}

const std::vector<unsigned>* Actors::gpus_of(const Task& task) noexcept {
    const auto* const target = static_cast<const Instance*>(task.instance);
    return target->held ? &target->held->gpus : nullptr;
}

double Actors::cpus_of(const Task& task) noexcept {
    const auto* const target = static_cast<const Instance*>(task.instance);
    return target->held ? target->held->options.cpus : 0;
}

}  // namespace mobula::runtime
