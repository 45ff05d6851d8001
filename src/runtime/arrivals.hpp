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
/// it stays in their lists of waiters between the calls, of which each only compares what it is
/// given with what the call before was given. Thread-bound to its task.
class AnyOf {
public:
    /// The position of one that is done, or empty at the time limit.
    [[nodiscard]] std::optional<std::size_t> wait(std::span<detail::Cell* const> cells,
                                                  detail::Deadline deadline);
    /// Whether nothing of it is needed any more.
    [[nodiscard]] bool is_over() const noexcept { return queue_->under_way() == 0; }

private:
    void update(std::span<detail::Cell* const> cells);
    [[nodiscard]] bool follow_one_change(std::span<detail::Cell* const> cells, std::size_t where);
    void start_again();
    void add(detail::Cell* cell);

    std::unique_ptr<detail::ArrivalQueue> queue_ = std::make_unique<detail::ArrivalQueue>();
    std::vector<detail::Cell*> seen_;  // by the call before; `given` for what it returned
    std::vector<detail::Cell*> numbered_;
};

}  // namespace mobula::runtime
