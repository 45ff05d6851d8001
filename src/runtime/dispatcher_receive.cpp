// SPDX-License-Identifier: Apache-2.0

/// The half of the dispatcher that hears other ranks. Nothing in a record is trusted.

#include <cstring>
#include <utility>

#include "runtime/dispatcher.hpp"
#include "runtime/failures.hpp"
#include "runtime/task_record.hpp"

namespace mobula::runtime {

using wire::Kind;
using wire::RecordReader;
using wire::ResultForm;

// ---- tasks of other ranks ----

/// A method runs on an actor, a constructor makes one, and anything else does without.
static Kind kind_of(const detail::FunctionInfo& info) {
    if (info.actor != nullptr) return Kind::spawn;
    return info.method_of != nullptr ? Kind::call : Kind::task;
}

const detail::FunctionInfo& Dispatcher::function_of(Kind kind, const wire::TaskHead& head) const {
    const detail::FunctionInfo* const info = functions_.at(head.function);
    if (info == nullptr) throw Error("a record calls a function that does not exist");
    if (kind != kind_of(*info)) throw Error("a record calls a function as what it is not");
    return *info;
}

Dispatcher::Received Dispatcher::receive(Rank from, Kind kind, const wire::TaskHead& head,
                                         RecordReader& tail) {
    const detail::FunctionInfo& info = function_of(kind, head);
    std::unique_ptr<graph::TaskExtra> extra;
    if ((head.flags & wire::has_options) != 0) extra = read_extra(tail);
    if (extra && kind == Kind::call) extra->own_priority = true;  // it has no other option
    if (extra && extra->demands) resources_.check_arrival(extra->options);

    Task& task = *graph::new_task(info, 1);
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
            arrived = exchange_.get_encoded(from, tail);
            if (arrived.parts.empty()) {
                graph::open_arguments(task, std::move(arrived.encoded));
            }
        }
    } catch (...) {
        return {
            &task, {}, failure_of_caught(task, network_.self(), graph::Doing::decoding_argument)};
    }
    foreign_started(task);
    return {&task, std::move(arrived), nullptr};
}

void Dispatcher::on_task(Rank from, const wire::RunTask& message, RecordReader& tail) {
    auto [task, arrived, failure] = receive(from, Kind::task, message.head, tail);
    if (failure) return refuse(*task, *failure);
    if (arrived.parts.empty()) return life_.run_here(*task);
    fetch_arguments(*task, std::move(arrived), [this, task = task](const FailurePtr& refused) {
        if (!refused) life_.run_here(*task);
    });
}

void Dispatcher::refuse(Task& task, const graph::Failure& failure) noexcept {
    give_failure(task, failure);
    graph::free_task(task);
}

/// What arrived is held until the blocks are here: it has the reference without which their owner
/// may free them.
void Dispatcher::fetch_arguments(Task& task, Arrived arrived,
                                 std::function<void(const FailurePtr&)> done) {
    auto* const held = arrived.encoded.release();
    exchange_.pull(std::move(arrived.parts), [this, &task, held,
                                              done = std::move(done)](const Pulled& pulled) {
        std::unique_ptr<Encoded> value(held);
        if (pulled.lost) return;
        try {
            if (!pulled.whole()) throw Error(std::string(pulled.refusal));
            graph::open_arguments(task, std::move(value));
        } catch (...) {
            const FailurePtr failure = failure_of_caught(
                task, network_.self(),
                pulled.whole() ? graph::Doing::decoding_argument : graph::Doing::bringing_argument);
            done(failure);
            foreign_ended(task);
            return refuse(task, *failure);
        }
        done(nullptr);
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
        Arrived arrived = exchange_.get_encoded(from, tail);
        if (!arrived.parts.empty()) throw Error("a record gives a result with blocks elsewhere");
        graph::complete(object, arrived.encoded.release());
    } else {
        exchange_.set_location(object, {from, message.copy});
    }
    if (last) life_.retire(*task);
    if (!more || refill(from)) return;
    // It will soon idle, and what waits elsewhere may be moved there.
    std::lock_guard guard(lock_);
    if (!brisk_ && loads_.anything_waits()) watch();
}

/// A result that nobody waits for: what was given with it goes back.
void Dispatcher::let_go(Rank from, const wire::Result& message, RecordReader& tail) {
    if (message.head.form == ResultForm::encoded) {
        static_cast<void>(exchange_.get_encoded(from, tail));
    } else if (message.head.form == ResultForm::located) {
        exchange_.drop_copy(from, message.copy.serial);
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
    life_.wake_cancelled();
}

}  // namespace mobula::runtime
