// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <mobula/detail/engine.hpp>

#include "base/spinlock.hpp"
#include "graph/object.hpp"
#include "runtime/gathering.hpp"

namespace mobula::detail {

/// See include/mobula/detail/engine.hpp. Thread-bound to its task, apart from what the objects tell
/// it.
class ArrivalQueue {
public:
    ArrivalQueue() = default;
    explicit ArrivalQueue(std::span<Cell* const> cells) : ArrivalQueue() {
        for (Cell* cell : cells) add(*cell);
    }
    ~ArrivalQueue();
    ArrivalQueue(const ArrivalQueue&) = delete;
    ArrivalQueue& operator=(const ArrivalQueue&) = delete;

    std::size_t add(Cell& cell);
    [[nodiscard]] std::optional<std::size_t> next(Deadline deadline);
    /// The same of one that has arrived already.
    [[nodiscard]] std::optional<std::size_t> take_arrived() { return take(nullptr); }
    /// Those that were not given yet.
    [[nodiscard]] std::size_t under_way() const noexcept { return added_ - given_; }

private:
    struct Node : Waiter {
        ArrivalQueue* queue = nullptr;
        std::size_t number = 0;
        CellPtr held;  ///< until it has arrived; guarded by the lock
    };

    [[nodiscard]] std::optional<std::size_t> take(runtime::Gathering* sleeping);
    void arrive(Node& node) noexcept;

    Spinlock lock_;
    std::deque<Node> nodes_;  // by number; they do not move
    std::vector<std::size_t> free_;
    std::deque<std::size_t> ready_;
    std::size_t added_ = 0, arrived_ = 0, given_ = 0;
    runtime::Gathering* sleeping_ = nullptr;
};

}  // namespace mobula::detail

namespace mobula::runtime {

/// What a task waits for that calls wait_for_any() again and again with mostly the same objects:
/// it stays in their lists of waiters between the calls. A call looks at what its caller usually
/// does with what the call before returned; only one that has to sleep compares all that it is
/// given with what it knows. Thread-bound to its task.
class AnyOf {
public:
    /// The position of one that is done, or empty at the time limit.
    [[nodiscard]] std::optional<std::size_t> wait(std::span<detail::Cell* const> cells,
                                                  detail::Deadline deadline);
    /// Whether nothing of it is needed any more.
    [[nodiscard]] bool is_over() const noexcept { return queue_->under_way() == 0; }

private:
    /// A position in what the call before was given.
    struct Seen {
        detail::Cell* cell;
        std::size_t number;  ///< in the queue
    };
    struct Numbered {
        detail::Cell* cell = nullptr;
        std::size_t position = 0;  ///< or before it, since when others were taken out
    };

    void follow(std::span<detail::Cell* const> cells);
    [[nodiscard]] bool follow_the_given(std::span<detail::Cell* const> cells);
    void compare(std::span<detail::Cell* const> cells);
    [[nodiscard]] std::optional<std::size_t> take_arrived(std::span<detail::Cell* const> cells);
    [[nodiscard]] std::optional<std::size_t> give(std::size_t number,
                                                  std::span<detail::Cell* const> cells);
    void start_again();
    [[nodiscard]] Seen add(detail::Cell* cell, std::size_t position);

    std::unique_ptr<detail::ArrivalQueue> queue_ = std::make_unique<detail::ArrivalQueue>();
    std::vector<Seen> seen_;  // by the call before
    std::vector<Numbered> numbered_;
    std::optional<std::size_t> given_;  ///< the position that the call before returned
    bool unsure_ = false;               ///< an object has arrived elsewhere than where it was seen
};

}  // namespace mobula::runtime
