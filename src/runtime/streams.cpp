// SPDX-License-Identifier: Apache-2.0
#include "runtime/streams.hpp"

#include <atomic>
#include <cstring>
#include <utility>

#include <mobula/error.hpp>

#include "base/encoding.hpp"
#include "base/spinlock.hpp"
#include "runtime/failures.hpp"

namespace mobula::runtime {

// ---- the producer ----

std::shared_ptr<Streams::Producer> Streams::producer_of(Task& task) {
    graph::TaskExtra& extra = graph::extra_of(task);
    if (extra.stream == nullptr) {
        auto producer = std::make_shared<Producer>();
        extra.stream = new std::shared_ptr<Producer>(producer);
        std::lock_guard guard(mutex_);
        if (task.foreign) {
            producers_.emplace(ProducerKey{task.where, task.key}, producer);
        } else if (const auto sink = sinks_.find(task.result); sink != sinks_.end()) {
            sink->second.local = producer;
        }
    }
    return *static_cast<std::shared_ptr<Producer>*>(extra.stream);
}

void Streams::ended(Task& task) noexcept {
    if (task.extra == nullptr || task.extra->stream == nullptr) return;
    delete static_cast<std::shared_ptr<Producer>*>(std::exchange(task.extra->stream, nullptr));
    std::lock_guard guard(mutex_);
    if (task.foreign) producers_.erase(ProducerKey{task.where, task.key});
}

void* Streams::place(Task& task, const detail::TypeInfo& type) {
    const std::shared_ptr<Producer> producer = producer_of(task);
    const std::size_t window = task.extra->options.stream_window;
    const auto has_room = [&](Gathering* waiting) {
        std::lock_guard guard(producer->mutex);
        if (producer->made - producer->consumed < window) return true;
        producer->waiting = waiting;
        return false;
    };
    waits_.check_cancelled();
    while (!has_room(nullptr)) {
        Gathering gathering(team_, 1);
        if (has_room(&gathering)) break;
        waits_.sleep(gathering, {}, std::nullopt);
        {
            std::lock_guard guard(producer->mutex);
            producer->waiting = nullptr;
        }
        waits_.check_cancelled();
    }
    Object* const object = graph::new_object(1);
    producer->item = CellPtr(object);
    return graph::make_place(*object, type);
}

void Streams::finish(Task& task) {
    const std::shared_ptr<Producer> producer = producer_of(task);
    CellPtr item = std::move(producer->item);
    Object& object = Object::of(*item);
    graph::complete(object);
    {
        std::lock_guard guard(producer->mutex);
        ++producer->made;
    }
    if (!task.foreign) return add(*task.result, std::move(item), nullptr);
    forwarder_.settle(task.where);

    try {
        send_item(object, task);
    } catch (...) {
        graph::raise(failure_of_caught(task, network_.self(), graph::Doing::encoding_item));
    }
}

void Streams::send_item(Object& object, const Task& task) {
    using Form = wire::Item::Form;
    detail::Writer writer;
    {
        const Encoding encoding;
        object.type->encode(object.content.value, writer);
    }
    if (exchange_.fits_inline(writer)) {
        wire::Written record(wire::Item{task.key, Form::encoded});
        exchange_.put_encoded(*exchange_.seal(writer), task.where, record);
        network_.send(task.where, record);
    } else {
        const std::uint64_t bytes = object.type->weight(object.content.value);
        const std::uint64_t copy = exchange_.keep_copy(object, exchange_.seal(writer));
        network_.send(task.where, wire::Item{task.key, Form::located, {copy, bytes}});
    }
}

void Streams::consumed(Producer& producer) {
    std::lock_guard guard(producer.mutex);
    if (producer.consumed == producer.made) throw Error("an item was consumed that was not made");
    ++producer.consumed;
    if (producer.waiting != nullptr) std::exchange(producer.waiting, nullptr)->arrive();
}

void Streams::on_consumed(Rank from, const wire::Consumed& message) {
    std::shared_ptr<Producer> producer;
    {
        std::lock_guard guard(mutex_);
        const auto found = producers_.find({from, message.task});
        if (found == producers_.end()) return;  // it is over already
        producer = found->second;
    }
    consumed(*producer);
}

// ---- the consumer ----

void Streams::open(const Object& stream) {
    std::lock_guard guard(mutex_);
    // An object may lie where that of a stream did which nobody has closed.
    sinks_.insert_or_assign(&stream, Sink{});
}

void Streams::close(const Object& stream) {
    std::deque<CellPtr> dropped;
    std::lock_guard guard(mutex_);
    const auto found = sinks_.find(&stream);
    if (found == sinks_.end()) return;
    dropped = std::move(found->second.items);
    sinks_.erase(found);
}

void Streams::add(const Object& stream, CellPtr item, const Task* remote_task) {
    std::lock_guard guard(mutex_);
    const auto found = sinks_.find(&stream);
    if (found == sinks_.end()) return;
    Sink& sink = found->second;
    sink.items.push_back(std::move(item));
    if (remote_task != nullptr) {
        sink.remote = true;
        sink.producer = remote_task->where;
        sink.key = remote_task->key;
    }
    if (sink.waiting != nullptr) std::exchange(sink.waiting, nullptr)->arrive();
}

void Streams::on_item(Rank from, const wire::Item& message, wire::RecordReader& tail) {
    Object* const object = graph::new_object(1);
    CellPtr item(object);
    if (message.form == wire::Item::Form::encoded) {
        Arrived arrived = exchange_.get_encoded(from, tail);
        if (!arrived.parts.empty())
            throw Error("a record gives an item and leaves its blocks elsewhere");
        graph::complete(*object, arrived.encoded.release());
    } else {
        exchange_.set_location(*object, {from, message.copy});
    }
    if (Task* const task = dispatcher_.find_sent(message.task, from)) {
        if (!task->info->stream) throw Error("a record gives an item of a task that is no stream");
        add(*task->result, std::move(item), task);
    }
}

/// The next item, or a null one at the end. When there is neither yet, `waiting` is told of what
/// comes.
std::optional<CellPtr> Streams::take(Object& stream, Gathering* waiting) {
    // Items are announced before the end: after one that was seen here none can follow.
    const bool over = graph::is_done(graph::state_of(stream));
    {
        std::lock_guard guard(mutex_);
        const auto found = sinks_.find(&stream);
        if (found == sinks_.end()) return CellPtr();
        Sink& sink = found->second;
        if (!sink.items.empty()) {
            CellPtr item = std::move(sink.items.front());
            sink.items.pop_front();
            if (sink.local) consumed(*sink.local);
            if (sink.remote) {
                network_.send(sink.producer, wire::Consumed{sink.key});
            }
            return item;
        }
        if (!over) {
            sink.waiting = waiting;
            return std::nullopt;
        }
    }
    if (graph::state_of(stream) == graph::State::failed) graph::raise(graph::failure_of(stream));
    return CellPtr();
}

/// Sleeps until take() has something, or the deadline.
void Streams::await_news(Object& stream, Gathering& gathering, Deadline deadline) {
    struct Ends : graph::Waiter {
        Gathering* gathering = nullptr;
        std::atomic<bool> told{false};
    };
    static constexpr detail::WaiterEvents end_events{[](graph::Waiter& waiter) noexcept {
        auto& fired = static_cast<Ends&>(waiter);
        fired.gathering->arrive();
        fired.told.store(true, std::memory_order_release);
    }};
    Ends ends;
    ends.gathering = &gathering;
    ends.events = &end_events;
    const bool added = graph::add_waiter(stream, ends);
    if (!added) gathering.arrive();
    waits_.sleep(gathering, {}, deadline);
    const bool removed = added && graph::remove_waiter(stream, ends);
    {
        std::lock_guard guard(mutex_);
        if (const auto found = sinks_.find(&stream); found != sinks_.end()) {
            found->second.waiting = nullptr;
        }
    }
    // The end may just be being told, also where an item was what ended this sleep: whoever tells
    // it must be done with this stack first.
    while (added && !removed && !ends.told.load(std::memory_order_acquire)) cpu_relax();
}

CellPtr Streams::next(Object& stream, Deadline deadline) {
    for (;;) {
        // Only who has to wait may be refused to.
        if (std::optional<CellPtr> item = take(stream, nullptr)) return std::move(*item);
        Waits::refuse_to_encoder();
        Gathering gathering(team_, 1);
        if (std::optional<CellPtr> item = take(stream, &gathering)) return std::move(*item);
        await_news(stream, gathering, deadline);
        waits_.check_cancelled();
        if (gathering.was(Gathering::timed_out) && gathering.arrived() == 0) {
            throw Timeout("next: the stream had no item within the time limit");
        }
    }
}

}  // namespace mobula::runtime
