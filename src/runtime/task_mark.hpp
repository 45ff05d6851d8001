// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "graph/task.hpp"

namespace mobula::runtime {

/// What the graph of waiting tasks tells of one task, copied while a lock keeps the task alive:
/// without allocation, so also under a spinlock. Texts are made of it afterwards. A value.
class TaskMark {
public:
    TaskMark() = default;
    TaskMark(const detail::Task& task, Rank self) noexcept;

    /// For a method on the rank of its actor: the actor's name.
    void set_actor(std::string_view name) noexcept { actor_ = ShortText(name); }

    /// The same on the owner's rank and on the rank that runs the task, and of no other task.
    [[nodiscard]] std::string key() const;
    /// The function, or the name that its options give.
    [[nodiscard]] std::string name() const;
    /// The same with the actor's name, where it is an actor's that has one.
    [[nodiscard]] std::string title() const;

private:
    /// The beginning of a name.
    class ShortText {
    public:
        ShortText() = default;
        explicit ShortText(std::string_view text) noexcept
            : size_(static_cast<std::uint8_t>(text.copy(bytes_.data(), bytes_.size()))) {}
        [[nodiscard]] std::string_view view() const noexcept { return {bytes_.data(), size_}; }

    private:
        std::array<char, 63> bytes_;  // not cleared: only `size_` of them are read
        std::uint8_t size_ = 0;
    };

    const detail::FunctionInfo* info_ = nullptr;
    std::uintptr_t address_ = 0;  ///< tells tasks of this rank apart that no other rank knows
    TaskKey key_{};
    Rank rank_{};  ///< the owner
    bool between_ranks_ = false;
    ShortText name_, actor_;
};

/// Calls and tasks that a rank lists at most, of each kind: what waits behind so many is seldom
/// news.
inline constexpr std::size_t listed_max = 10'000;

}  // namespace mobula::runtime
