// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <mobula/detail/engine.hpp>

#include "base/ids.hpp"
#include "base/pool.hpp"
#include "base/spinlock.hpp"
#include "graph/failure.hpp"

namespace mobula::graph {

using detail::Buffer;
using detail::CellPtr;
using detail::Task;
using detail::TypeInfo;
using detail::Waiter;

/// A value in the form in which it travels.
struct Encoded : Pooled {
    std::vector<std::byte> stream;
    Buffer stream_block;           ///< instead of `stream`, where that is large
    std::size_t stream_bytes = 0;  ///< of stream_block
    std::vector<Buffer> attachments;
    std::vector<CellPtr> references;

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
        if (stream_block) return {stream_block.data(), stream_bytes};
        return stream;
    }
};

/// What a rank knows of an object that other ranks know too; see runtime/shared.hpp. The base is
/// here so that an object can name it.
struct Shared;

/// How far an object is on this rank. Only ever grows, except that `located` may become a failure.
enum class State : std::uint8_t {
    pending,   ///< nothing is known yet
    located,   ///< it exists on another rank, its bytes are not here
    encoded,   ///< its bytes are here
    decoding,  ///< somebody makes the value of the bytes
    ready,     ///< its value is here
    failed,
};

/// An object as this rank sees it: 64 bytes, small values inside. Thread-safe.
///
/// The lock guards `waiters`, `producer`, the change of `state` and the decoding; a value is
/// written before the state says so and is not changed again.
struct Object : detail::Cell {
    static constexpr std::size_t inline_bytes = 16;

    Spinlock lock;
    std::atomic<State> state{State::pending};
    bool value_inside = false;           ///< `content.value` points to `inside`
    std::atomic<bool> moved_out{false};  ///< the value, of a type that cannot be copied
    Task* producer = nullptr;            ///< until it is done: the task of this rank that makes it
    const TypeInfo* type = nullptr;
    Waiter* waiters = nullptr;
    union Content {
        void* value;          ///< ready, or pending with the place made
        Encoded* encoded;     ///< encoded
        FailurePtr* failure;  ///< failed
    } content{nullptr};
    std::atomic<Shared*> shared{nullptr};
    alignas(16) std::byte inside[inline_bytes];

    static Object& of(detail::Cell& cell) noexcept { return static_cast<Object&>(cell); }
    static const Object& of(const detail::Cell& cell) noexcept {
        return static_cast<const Object&>(cell);
    }
};

static_assert(sizeof(Object) == 64, "an object is one cache line");

[[nodiscard]] inline State state_of(const Object& object) noexcept {
    return object.state.load(std::memory_order_acquire);
}
[[nodiscard]] inline bool is_done(State state) noexcept { return state != State::pending; }
[[nodiscard]] inline bool is_here(State state) noexcept { return state >= State::encoded; }

/// Whether nobody but the caller, who has a reference, has the object or can get it. In this order:
/// who made it known to other ranks and let it go has done both when the count says so.
[[nodiscard]] inline bool is_alone(const Object& object) noexcept {
    return object.references.load(std::memory_order_acquire) == 1 &&
           object.shared.load(std::memory_order_relaxed) == nullptr;
}

/// A fresh pending object with `references` references.
[[nodiscard]] Object* new_object(std::uint32_t references);
/// Destroys the value and frees the object; its last reference is gone.
void free_object(Object* object) noexcept;

/// Why a value of a type that cannot be copied is not given a second time.
inline constexpr const char* moved_out_words =
    "the value cannot be copied and was moved out already, by get or as the argument of a task";

/// Room for a value of the type; small values lie inside the object.
[[nodiscard]] void* make_place(Object& object, const TypeInfo& type);
/// Frees the room again when no value was constructed in it.
void drop_place(Object& object) noexcept;

/// The four ways to be done. Each fires the waiters that it satisfies, in the order in which they
/// came, and returns whether some of them still need the value brought here. Doing it twice is
/// allowed (an answer may come twice) and has no effect; false then.
void complete(Object& object) noexcept;                    ///< the value is in its place
void complete(Object& object, Encoded* encoded) noexcept;  ///< takes it over
bool locate(Object& object) noexcept;
void fail(Object& object, FailurePtr failure) noexcept;

/// The value is in its place, and nobody else has the object.
inline void complete_alone(Object& object) noexcept {
    object.producer = nullptr;
    object.state.store(State::ready, std::memory_order_relaxed);
}

/// Adds a waiter unless what it waits for is so already; returns whether it was added.
[[nodiscard]] bool add_waiter(Object& object, Waiter& waiter) noexcept;
/// Takes a waiter out; false when it is not there, because it was or is being fired.
bool remove_waiter(Object& object, Waiter& waiter) noexcept;

/// The reader of a value, for what is said where it cannot be decoded.
struct Reading {
    std::uint32_t rank = 0;
    const Task* task = nullptr;  ///< of which it is an argument; null: another reader
};

/// The value of an object that is here: decodes it if need be (user code, which must not wait for
/// objects). Throws its failure, and Error where the value is one of another type, as a forged
/// record can name it; an encoded value that cannot be decoded fails the object.
[[nodiscard]] void* value_of(Object& object, const TypeInfo& type, const Reading& reading = {});
/// The travelling form of a value that came encoded and was not read yet, else null.
[[nodiscard]] std::unique_ptr<Encoded> copy_encoded(Object& object);
[[nodiscard]] const FailurePtr& failure_of(const Object& object) noexcept;

}  // namespace mobula::graph
