// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <type_traits>

namespace mobula {

/// A process of the job, 0 .. ranks-1. Scoped so that it mixes with no worker index or count.
enum class Rank : std::uint32_t {};

/// A machine of the job, 0 .. nodes-1: ranks with the same node share memory.
enum class Node : std::uint32_t {};

/// When a rank's process was started, in seconds since 1970; messages of an older incarnation are
/// dropped.
enum class Incarnation : std::uint32_t {};

template <class Id>
    requires std::is_enum_v<Id>
constexpr std::size_t index(Id id) noexcept {
    return static_cast<std::size_t>(id);
}

static_assert(!std::is_convertible_v<Rank, Node> && !std::is_convertible_v<Rank, int>);

/// The name of one object in the whole job, given by its owner when another rank first hears of it.
struct ObjectId {
    Rank owner{};
    Incarnation incarnation{};  ///< of the owner
    std::uint64_t serial = 0;   ///< counted by the owner, never used twice; 0: no object

    friend bool operator==(const ObjectId&, const ObjectId&) = default;
};

static_assert(sizeof(ObjectId) == 16 && std::is_trivially_copyable_v<ObjectId>);

/// A task that runs on another rank, as its owner finds it: the place in the owner's table, so that
/// an answer finds its task without hashing, and a count that tells the place's users apart.
struct TaskKey {
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;

    friend bool operator==(const TaskKey&, const TaskKey&) = default;
};

}  // namespace mobula

template <>
struct std::hash<mobula::ObjectId> {
    std::size_t operator()(const mobula::ObjectId& id) const noexcept {
        auto mixed = id.serial * 0x9E3779B97F4A7C15ULL;
        mixed ^= (mobula::index(id.owner) << 32U) | mobula::index(id.incarnation);
        return mixed * 0xD6E8FEB86659FD93ULL;
    }
};
