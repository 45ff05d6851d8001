// SPDX-License-Identifier: Apache-2.0
#include "graph/object.hpp"

#include <sched.h>

#include <memory>
#include <mutex>
#include <new>
#include <utility>

#include <mobula/error.hpp>

#include "base/check.hpp"
#include "base/pool.hpp"
#include "base/type_name.hpp"
#include "graph/task.hpp"

namespace mobula::graph {
namespace {

/// Values beyond the pool's alignment come from the aligned operator new.
bool from_pool(const TypeInfo& type) noexcept { return type.alignment <= 16; }

void* allocate_value(const TypeInfo& type) {
    return from_pool(type) ? pool_allocate(type.size)
                           : ::operator new(type.size, std::align_val_t{type.alignment});
}

void free_value(void* value, const TypeInfo& type) noexcept {
    if (from_pool(type)) {
        pool_free(value, type.size);
    } else {
        ::operator delete(value, std::align_val_t{type.alignment});
    }
}

/// Takes out the waiters that `here` satisfies, oldest first. The lock is held.
Waiter* take_waiters(Object& object, bool here) noexcept {
    Waiter* taken = nullptr;
    Waiter* kept = nullptr;
    Waiter** kept_end = &kept;
    for (Waiter* waiter = object.waiters; waiter != nullptr;) {
        Waiter* const next = waiter->next;
        if (here || !waiter->needs_value) {
            waiter->next = taken;  // turns the newest-first list around
            taken = waiter;
        } else {
            *kept_end = waiter;
            kept_end = &waiter->next;
        }
        waiter = next;
    }
    *kept_end = nullptr;
    object.waiters = kept;
    return taken;
}

void fire(Waiter* waiter) noexcept {
    while (waiter != nullptr) {
        Waiter* const next = waiter->next;  // the waiter may be gone after it was fired
        waiter->events->fire(*waiter);
        waiter = next;
    }
}

/// A type may be described more than once, where several shared libraries use it.
void check_type(const Object& object, const TypeInfo& type) {
    if (object.type == &type || *object.type->id == *type.id) return;
    throw Error("an object of the type " + readable_type(object.type->id->name()) +
                " was named where a " + readable_type(type.id->name()) + " belongs");
}

void decode_value(Object& object, const TypeInfo& type, const Reading& reading) {
    {
        std::lock_guard guard(object.lock);
        if (object.state.load(std::memory_order_relaxed) != State::encoded) return;
        object.state.store(State::decoding, std::memory_order_relaxed);
    }
    const std::unique_ptr<Encoded> encoded(object.content.encoded);
    object.content.value = nullptr;
    FailurePtr failure;
    try {
        void* const place = make_place(object, type);
        detail::Reader reader(encoded->bytes(), encoded->attachments, encoded->references);
        type.decode(reader, place);
    } catch (...) {
        if (object.content.value != nullptr) drop_place(object);
        failure = reading.task != nullptr
                      ? failure_from_current_exception(name_of(*reading.task), reading.rank,
                                                       Doing::decoding_argument)
                      : failure_from_current_exception({}, reading.rank, Doing::decoding_object);
        object.content.failure = new FailurePtr(failure);
    }
    object.state.store(failure ? State::failed : State::ready, std::memory_order_release);
}

}  // namespace

Object* new_object(std::uint32_t references) {
    auto* object = new (pool_allocate(sizeof(Object))) Object;
    object->references.store(references, std::memory_order_relaxed);
    return object;
}

void free_object(Object* object) noexcept {
    switch (state_of(*object)) {
        case State::ready:
            object->type->destroy(object->content.value);
            drop_place(*object);
            break;
        case State::encoded:
        case State::decoding: delete object->content.encoded; break;
        case State::failed: delete object->content.failure; break;
        case State::pending:  // with a place, where the value's constructor threw
            if (object->content.value != nullptr) drop_place(*object);
            break;
        case State::located: break;
    }
    check(object->waiters == nullptr, "an object was freed while something waits for it");
    object->~Object();
    pool_free(object, sizeof(Object));
}

void* make_place(Object& object, const TypeInfo& type) {
    object.type = &type;
    object.value_inside = type.size <= Object::inline_bytes && type.alignment <= 16;
    object.content.value = object.value_inside ? object.inside : allocate_value(type);
    return object.content.value;
}

void drop_place(Object& object) noexcept {
    if (!object.value_inside) free_value(object.content.value, *object.type);
    object.content.value = nullptr;
}

void complete(Object& object) noexcept {
    object.lock.lock();
    object.producer = nullptr;
    Waiter* const fired = object.waiters != nullptr ? take_waiters(object, true) : nullptr;
    object.state.store(State::ready, std::memory_order_release);
    object.lock.unlock();
    fire(fired);
}

void complete(Object& object, Encoded* encoded) noexcept {
    object.lock.lock();
    if (is_here(object.state.load(std::memory_order_relaxed))) {
        object.lock.unlock();
        delete encoded;
        return;
    }
    object.content.encoded = encoded;
    object.producer = nullptr;
    Waiter* const fired = take_waiters(object, true);
    object.state.store(State::encoded, std::memory_order_release);
    object.lock.unlock();
    fire(fired);
}

bool locate(Object& object) noexcept {
    object.lock.lock();
    if (is_done(object.state.load(std::memory_order_relaxed))) {
        object.lock.unlock();
        return false;
    }
    object.producer = nullptr;
    Waiter* const fired = take_waiters(object, false);
    const bool wanted = object.waiters != nullptr;
    object.state.store(State::located, std::memory_order_release);
    object.lock.unlock();
    fire(fired);
    return wanted;
}

void fail(Object& object, FailurePtr failure) noexcept {
    object.lock.lock();
    if (is_here(object.state.load(std::memory_order_relaxed))) {
        object.lock.unlock();
        return;
    }
    object.content.failure = new FailurePtr(std::move(failure));
    object.producer = nullptr;
    Waiter* const fired = take_waiters(object, true);
    object.state.store(State::failed, std::memory_order_release);
    object.lock.unlock();
    fire(fired);
}

bool add_waiter(Object& object, Waiter& waiter) noexcept {
    const auto satisfied = [&] {
        const State state = state_of(object);
        return waiter.needs_value ? is_here(state) : is_done(state);
    };
    if (satisfied()) return false;
    std::lock_guard guard(object.lock);
    if (satisfied()) return false;
    waiter.next = object.waiters;
    object.waiters = &waiter;
    return true;
}

bool remove_waiter(Object& object, Waiter& waiter) noexcept {
    std::lock_guard guard(object.lock);
    for (Waiter** at = &object.waiters; *at != nullptr; at = &(*at)->next) {
        if (*at == &waiter) {
            *at = waiter.next;
            return true;
        }
    }
    return false;
}

void* value_of(Object& object, const TypeInfo& type, const Reading& reading) {
    for (;;) {
        switch (state_of(object)) {
            case State::ready: check_type(object, type); return object.content.value;
            case State::failed: raise(failure_of(object));
            case State::encoded: decode_value(object, type, reading); break;
            case State::decoding: sched_yield(); break;
            default: check(false, "the value of an object was read before it was here");
        }
    }
}

std::unique_ptr<Encoded> copy_encoded(Object& object) {
    std::lock_guard guard(object.lock);
    if (object.state.load(std::memory_order_relaxed) != State::encoded) return nullptr;
    return std::make_unique<Encoded>(*object.content.encoded);
}

const FailurePtr& failure_of(const Object& object) noexcept { return *object.content.failure; }

}  // namespace mobula::graph
