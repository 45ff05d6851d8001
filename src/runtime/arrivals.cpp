// SPDX-License-Identifier: Apache-2.0
#include "runtime/arrivals.hpp"

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>

#include <mobula/error.hpp>

#include "runtime/engine.hpp"

namespace mobula::detail {

using graph::Object;

ArrivalQueue::~ArrivalQueue() {
    std::size_t removed = 0;
    for (Node& node : nodes_) {
        CellPtr object;  // it may arrive just now and let go
        {
            std::lock_guard guard(lock_);
            object = node.held;
        }
        if (object && graph::remove_waiter(Object::of(*object), node)) ++removed;
    }
    for (;;) {
        std::lock_guard guard(lock_);
        if (arrived_ + removed == added_) return;
    }
}

std::size_t ArrivalQueue::add(Cell& cell) {
    std::size_t number = nodes_.size();
    if (free_.empty()) {
        nodes_.emplace_back().number = number;
    } else {
        number = free_.back();
        free_.pop_back();
    }
    Node& node = nodes_[number];
    node.queue = this;
    node.held = CellPtr::share(cell);
    static constexpr WaiterEvents node_events{[](Waiter& waiter) noexcept {
        auto& fired = static_cast<Node&>(waiter);
        fired.queue->arrive(fired);
    }};
    node.events = &node_events;
    ++added_;
    Object& object = Object::of(cell);
    if (!graph::add_waiter(object, node)) {
        arrive(node);
    } else if (object.shared != nullptr) {
        runtime::Engine::current().exchange.want(object, false);
    }
    return number;
}

/// The node may be gone, or used again, when the lock is.
void ArrivalQueue::arrive(Node& node) noexcept {
    CellPtr object;
    std::lock_guard guard(lock_);
    object = std::exchange(node.held, CellPtr());
    ready_.push_back(node.number);
    ++arrived_;
    if (sleeping_ != nullptr) std::exchange(sleeping_, nullptr)->arrive();
}

/// When nothing has arrived, `sleeping` is told of what does.
std::optional<std::size_t> ArrivalQueue::take(runtime::Gathering* sleeping) {
    std::lock_guard guard(lock_);
    if (ready_.empty()) {
        sleeping_ = sleeping;
        return std::nullopt;
    }
    const std::size_t number = ready_.front();
    ready_.pop_front();
    ++given_;
    free_.push_back(number);
    return number;
}

std::optional<std::size_t> ArrivalQueue::next(Deadline deadline) {
    runtime::Engine& engine = runtime::Engine::current();
    for (;;) {
        // Only a caller that has to wait may be refused to.
        if (const std::optional<std::size_t> number = take(nullptr)) return number;
        if (given_ == added_) return std::nullopt;
        runtime::Waits::refuse_to_encoder();
        runtime::Gathering gathering(engine.team, 1);
        if (const std::optional<std::size_t> number = take(&gathering)) return number;
        engine.waits.sleep(gathering, {}, deadline);
        {
            std::lock_guard guard(lock_);
            sleeping_ = nullptr;
            if (!ready_.empty()) continue;
        }
        engine.waits.check_cancelled();
        if (gathering.was(runtime::Gathering::timed_out)) return std::nullopt;
    }
}

static void check_named(const Cell* cell, const char* where) {
    if (cell == nullptr) throw BadInput(std::string(where) + ": a Ref that names nothing");
}

ArrivalQueue* new_arrivals(std::span<Cell* const> cells) {
    for (const Cell* cell : cells) check_named(cell, "as_completed");
    return new ArrivalQueue(cells);
}
std::size_t add_arrival(ArrivalQueue& queue, Cell& cell) { return queue.add(cell); }
std::optional<std::size_t> next_arrival(ArrivalQueue& queue, Deadline deadline) {
    return queue.next(deadline);
}
void drop_arrivals(ArrivalQueue* queue) noexcept { delete queue; }

std::optional<std::size_t> wait_for_any(std::span<Cell* const> cells, Deadline deadline) {
    /// So few are waited for as quickly without a memory of them.
    constexpr std::size_t few = 16;
    worker::Frame* const frame = worker::Team::frame();
    if (cells.size() > few && frame != nullptr) {
        if (frame->any == nullptr) frame->any = new runtime::AnyOf;
        return frame->any->wait(cells, deadline);
    }
    if (frame != nullptr && frame->any != nullptr && frame->any->is_over()) {
        runtime::drop(std::exchange(frame->any, nullptr));
    }
    static_cast<void>(wait_for(cells, 1, deadline, false));
    const auto done = [](const Cell* cell) { return is_done(*cell); };
    const auto found = std::find_if(cells.begin(), cells.end(), done);
    if (found == cells.end()) return std::nullopt;
    return static_cast<std::size_t>(found - cells.begin());
}

}  // namespace mobula::detail

namespace mobula::runtime {

using detail::Cell;

void drop(AnyOf* any) noexcept { delete any; }

AnyOf::Seen AnyOf::add(Cell* cell, std::size_t position) {
    detail::check_named(cell, "when_any");
    const std::size_t number = queue_->add(*cell);
    if (number == numbered_.size()) numbered_.emplace_back();
    numbered_[number] = {cell, position};
    return {cell, number};
}

std::optional<std::size_t> AnyOf::wait(std::span<Cell* const> cells, detail::Deadline deadline) {
    follow(cells);
    if (const auto position = take_arrived(cells)) return position;
    compare(cells);
    for (;;) {
        const std::optional<std::size_t> number = queue_->next(deadline);
        if (!number) return std::nullopt;
        if (const auto position = give(*number, cells)) return position;
    }
}

std::optional<std::size_t> AnyOf::take_arrived(std::span<Cell* const> cells) {
    while (const std::optional<std::size_t> number = queue_->take_arrived()) {
        if (const auto position = give(*number, cells)) return position;
    }
    return std::nullopt;
}

/// Where the object is that has arrived; empty where it is there no more, or is another one at the
/// place of one that has gone.
std::optional<std::size_t> AnyOf::give(std::size_t number, std::span<Cell* const> cells) {
    const auto [cell, hint] = numbered_[number];
    // Mostly where it was; or before that, where its caller has erased others.
    std::size_t position = std::min(hint + 1, cells.size());
    while (position != 0 && cells[position - 1] != cell) --position;
    if (position != 0) {
        --position;
    } else {
        const auto found = std::find(cells.begin(), cells.end(), cell);
        if (found == cells.end()) {  // it was taken out before it was done
            unsure_ = true;
            return std::nullopt;
        }
        position = static_cast<std::size_t>(found - cells.begin());
    }
    const bool done = detail::is_done(*cell);
    const Seen now = done ? Seen{nullptr, number} : add(cell, position);
    if (position < seen_.size() && seen_[position].number == number) {
        seen_[position] = now;
    } else {
        unsure_ = true;
    }
    if (!done) return std::nullopt;
    given_ = position;
    return position;
}

/// Waits for what is new since the call before, as far as it is seen at once.
void AnyOf::follow(std::span<Cell* const> cells) {
    const bool follows = follow_the_given(cells) && seen_.size() <= cells.size();
    given_.reset();
    // Those that were taken out before they were done are still waited for.
    const bool many_gone = queue_->under_way() > 2 * cells.size() + 64;
    if (!follows || many_gone) start_again();
    while (seen_.size() < cells.size()) seen_.push_back(add(cells[seen_.size()], seen_.size()));
}

/// The usual ways to go on: what was returned is gone from there, or the last one is in its place,
/// or another one is, and others came behind. Whether it is one of these, as far as that place and
/// its neighbours tell.
bool AnyOf::follow_the_given(std::span<Cell* const> cells) {
    if (!given_ || *given_ >= seen_.size()) return true;
    const std::size_t at = *given_, last = seen_.size() - 1;
    if (at < cells.size() && at != last && cells[at] == seen_[last].cell) {
        seen_[at] = seen_[last];
        numbered_[seen_[at].number].position = at;
        seen_.pop_back();
    } else if (at == cells.size() ||
               (at < cells.size() && at != last && cells[at] == seen_[at + 1].cell)) {
        seen_.erase(seen_.begin() + static_cast<std::ptrdiff_t>(at));
    } else if (at < cells.size()) {
        seen_[at] = add(cells[at], at);
    } else {
        return false;
    }
    return true;
}

/// Waits for all that it is given, whatever its caller did. What is seen where it was before may
/// have been elsewhere when it arrived, and nothing is waited for then.
void AnyOf::compare(std::span<Cell* const> cells) {
    const bool same = std::equal(cells.begin(), cells.end(), seen_.begin(), seen_.end(),
                                 [](Cell* cell, const Seen& seen) { return cell == seen.cell; });
    if (same && !unsure_) return;
    start_again();
    for (Cell* cell : cells) seen_.push_back(add(cell, seen_.size()));
}

void AnyOf::start_again() {
    queue_ = std::make_unique<detail::ArrivalQueue>();
    seen_.clear();
    numbered_.clear();
    unsure_ = false;
}

}  // namespace mobula::runtime
