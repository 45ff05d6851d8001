// SPDX-License-Identifier: Apache-2.0

/// The half of the dispatcher that hears other ranks. Nothing in a record is trusted.

#include <cstring>
#include <utility>

#include "runtime/dispatcher.hpp"
#include "runtime/engine.hpp"
#include "runtime/task_record.hpp"

namespace mobula::runtime {

using wire::Kind;
using wire::RecordReader;
using wire::ResultForm;

// ---- tasks of other ranks ----

/// A method runs on an actor, a constructor makes one, and anything else does without.
static void check_kind(Kind kind, const detail::FunctionInfo& info) {
    const Kind right = info.actor != nullptr       ? Kind::spawn
                       : info.method_of != nullptr ? Kind::call
                                                   : Kind::task;
    if (kind != right) throw Error("a record calls a function as what it is not");
}

void Dispatcher::on_task(Rank from, Kind kind, const ObjectId& actor, const wire::TaskHead& head,
                         RecordReader& tail) {
    const detail::FunctionInfo* const info = engine_.functions.at(head.function);
    if (info == nullptr) throw Error("a record calls a function that does not exist");
    check_kind(kind, *info);
    if (kind != Kind::task) engine_.actors.check_arrival(actor, *info);
    std::unique_ptr<graph::TaskExtra> extra;
    if ((head.flags & wire::has_options) != 0) extra = read_extra(tail);
    if (extra && kind == Kind::call) extra->own_priority = true;  // it has no other option
    if (extra && extra->demands) engine_.resources.check_arrival(extra->options);

    Task& task = *graph::new_task(*info, 1);
    task.foreign = true;
    task.bound = (head.flags & wire::bound) != 0;
    task.near = (head.flags & wire::near_bytes) != 0;
    task.where = from;
    task.key = head.key;
    task.extra = extra.release();
    Arrived arrived;
    try {
        if ((head.flags & wire::plain_arguments) != 0) {
            graph::open_arguments(task, tail.rest());
        } else {
            arrived = engine_.exchange.get_encoded(from, tail);
            if (arrived.parts.empty()) {
                graph::open_arguments(task, std::move(arrived.encoded));
            }
        }
    } catch (...) {
        const FailurePtr failure = engine_.caught(task, graph::Doing::decoding_argument);
        if (kind == Kind::spawn) engine_.actors.never_began(actor, *failure);
        return refuse(task, *failure);
    }
    foreign_started(task);
    if (!arrived.parts.empty()) {
        if (kind != Kind::task) engine_.actors.expect(task, actor, kind == Kind::spawn);
        return fetch_arguments(task, kind, std::move(arrived));
    }
    if (kind == Kind::task) return engine_.run_here(task);
    engine_.actors.receive(task, actor, kind == Kind::spawn);
}

/// It has no arguments, so it cannot even be run to fail.
void Dispatcher::refuse(Task& task, const graph::Failure& failure) noexcept {
    give_failure(task, failure);
    graph::free_task(task);
}

/// Blocks of the arguments are still to come. What arrived is held until they are here: it has the
/// reference without which their owner may free them.
void Dispatcher::fetch_arguments(Task& task, Kind kind, Arrived arrived) {
    auto* const held = arrived.encoded.release();
    engine_.exchange.pull(
        std::move(arrived.parts), [this, &task, kind, held](const Pulled& pulled) {
            std::unique_ptr<Encoded> value(held);
            if (pulled.lost) return;
            try {
                if (!pulled.whole()) throw Error(std::string(pulled.refusal));
                graph::open_arguments(task, std::move(value));
            } catch (...) {
                const FailurePtr failure =
                    engine_.caught(task, pulled.whole() ? graph::Doing::decoding_argument
                                                        : graph::Doing::bringing_argument);
                if (kind != Kind::task) engine_.actors.withdraw(task, *failure);
                foreign_ended(task);
                return refuse(task, *failure);
            }
            if (kind == Kind::task) return engine_.run_here(task);
            engine_.actors.arrive(task);
        });
}

// ---- what comes back ----

void Dispatcher::on_result(Rank from, const wire::Result& message, RecordReader& tail) {
    const wire::ResultHead& head = message.head;
    const ResultForm form = head.form;
    const auto [task, last, more] = take_back(head, from);
    if (task == nullptr) return let_go(from, message, tail);  // it was given up here meanwhile
    if (head.number >= task->info->results) throw Error("a record gives a result that no task has");
    Object& object = *task->results(head.number);
    if (form != ResultForm::failed && graph::is_done(graph::state_of(object))) {
        throw Error("a record gives a result twice");
    }
    if (form == ResultForm::failed) {
        detail::Reader encoded(tail.rest(), {}, {});
        const auto failure = std::make_shared<graph::Failure>(graph::Failure::decode(encoded));
        for (std::uint32_t i = 0; i < task->info->results; ++i) {
            graph::fail(*task->results(i), failure);
        }
    } else if (form == ResultForm::plain) {
        if (!object.type->plain) throw Error("a record gives a result in a form it has not");
        const std::span<const std::byte> bytes = tail.bytes(object.type->size);
        std::memcpy(graph::make_place(object, *object.type), bytes.data(), bytes.size());
        graph::complete(object);
    } else if (form == ResultForm::encoded) {
        Arrived arrived = engine_.exchange.get_encoded(from, tail);
        if (!arrived.parts.empty()) throw Error("a record gives a result with blocks elsewhere");
        graph::complete(object, arrived.encoded.release());
    } else {
        engine_.exchange.set_location(object, {from, message.copy});
    }
    if (last) engine_.retire(*task);
    if (!more || refill(from)) return;
    // It will soon idle, and what waits elsewhere may be moved there.
    std::lock_guard guard(lock_);
    if (!brisk_ && loads_.anything_waits()) watch();
}

/// A result that nobody waits for: what was given with it goes back.
void Dispatcher::let_go(Rank from, const wire::Result& message, RecordReader& tail) {
    if (message.head.form == ResultForm::encoded) {
        static_cast<void>(engine_.exchange.get_encoded(from, tail));
    } else if (message.head.form == ResultForm::located) {
        engine_.exchange.drop_copy(from, message.copy.serial);
    }
}

void Dispatcher::on_cancel(Rank from, const wire::Cancel& message) {
    bool children = false;
    {
        std::lock_guard guard(foreign_lock_);
        for (Task* task : foreign_) {
            if (task->where != from || task->key != message.task) continue;
            task->cancelled.store(true);
            graph::Scope* const scope = task->children.load();
            if (message.recursive && scope != nullptr) {
                scope->cancel();
                children = true;
            }
        }
    }
    if (children) cancel_children();
    engine_.resources.wake_waiting();
    engine_.waits.wake_cancelled();
}

}  // namespace mobula::runtime
