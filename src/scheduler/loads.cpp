// SPDX-License-Identifier: Apache-2.0
#include "scheduler/loads.hpp"

#include <utility>

namespace mobula::scheduler {

Loads::Loads(Rank self, std::uint32_t ranks, WorkersOf workers_of, std::uint64_t window_ns,
             std::uint64_t patience_ns)
    : self_(self),
      workers_of_(std::move(workers_of)),
      window_ns_(window_ns),
      patience_ns_(patience_ns),
      next_behind_(static_cast<std::uint32_t>(index(self)) + 1) {
    index_.add(self);
    loads_.emplace_back(Load{.rank = self, .alive = false});
    join(ranks);
}

void Loads::join(std::uint32_t ranks) {
    for (; ranks_ < ranks; ++ranks_) {
        if (Rank{ranks_} != self_) unknown_workers_ += workers_of(Rank{ranks_});
    }
}

std::uint32_t Loads::workers_of(Rank rank) const { return std::max(workers_of_(rank), 1U); }

Loads::Load& Loads::make_entry(Rank rank) {
    const Place place = index_.add(rank);
    Load& load = loads_.emplace_back(Load{.rank = rank, .place = place});
    load.workers = workers_of(rank);
    load.ahead = load.workers * ahead_unknown;
    unknown_workers_ -= load.workers;
    settle(load);
    return load;
}

void Loads::lost(Rank rank) {
    Load& load = entry(rank);
    load.alive = false;
    settle(load);
}

std::size_t Loads::bytes() const noexcept {
    const std::size_t places =
        changed_.capacity() + waiting_.capacity() + resulted_.capacity() + moved_.capacity();
    return index_.bytes() + loads_.capacity() * sizeof(Load) + places * sizeof(Place) +
           longest_.capacity() * sizeof(Queue);
}

// ---- turns ----

/// The ring begins and ends at this rank's own entry, which is never in turn itself.
void Loads::enter_turn(Load& load) noexcept {
    Load& end = loads_.front();
    load.in_turn = true;
    load.next = 0;
    load.previous = end.previous;
    loads_[end.previous].next = load.place;
    end.previous = load.place;
}

void Loads::leave_turn(Load& load) noexcept {
    load.in_turn = false;
    loads_[load.previous].next = load.next;
    loads_[load.next].previous = load.previous;
}

std::optional<Rank> Loads::next_with_room() {
    if (unknown_workers_ != 0) {
        if (const std::optional<Rank> rank = next_without_entry()) {
            make_entry(*rank);
            return rank;
        }
    }
    ++looked_at_;
    const Load& end = loads_.front();
    if (end.next == 0) return std::nullopt;
    Load& load = loads_[end.next];
    if (end.previous != end.next) {  // it is not the only one
        leave_turn(load);
        enter_turn(load);
    }
    return load.rank;
}

/// Each rank is passed over once, however often this is called.
std::optional<Rank> Loads::next_without_entry() {
    const auto pass = [&](std::uint32_t& next, std::uint32_t end) -> std::optional<Rank> {
        while (next < end) {
            const Rank rank{next++};
            ++looked_at_;
            if (find(rank) == nullptr) return rank;
        }
        return std::nullopt;
    };
    if (const std::optional<Rank> rank = pass(next_behind_, ranks_)) return rank;
    return pass(next_before_, static_cast<std::uint32_t>(index(self_)));
}

std::uint32_t Loads::room_for(std::uint32_t most) noexcept {
    std::uint64_t tasks = unknown_workers_ * ahead_unknown;
    for (Place at = loads_.front().next; at != 0 && tasks < most; at = loads_[at].next) {
        ++looked_at_;
        tasks += loads_[at].ahead - loads_[at].sent;
    }
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(tasks, most));
}

void Loads::change_turn(Load& load) noexcept {
    if (load.in_turn) return leave_turn(load);
    enter_turn(load);
}

// ---- what follows from the counts ----

void Loads::list_change(Load& load) {
    load.changed = true;
    changed_.push_back(load.place);
}

void Loads::refresh() {
    for (const Place at : changed_) refresh(loads_[at]);
    changed_.clear();
}

void Loads::refresh(Load& load) {
    ++looked_at_;
    load.changed = false;
    const std::uint32_t spare =
        takes_tasks(load) ? load.workers - std::min(load.workers, load.sent) : 0;
    idle_there_ += spare;
    idle_there_ -= std::exchange(load.idle, spare);

    const bool waits = may_wait(load) != 0;
    waits_ += waits ? 1 : 0;
    waits_ -= std::exchange(load.waits, waits) ? 1 : 0;
    if (waits && !std::exchange(load.listed, true)) waiting_.push_back(load.place);
    if (load.results != load.seen && !std::exchange(load.resulted, true)) {
        resulted_.push_back(load.place);
    }

    note_queue(load);
}

void Loads::note_queue(Load& load) {
    const std::uint64_t ns = queue_ns(load);
    if (ns == std::exchange(load.queue_ns, ns)) return;
    load.queue_version = ++versions_;
    if (ns == 0) return;
    if (longest_.size() > 2 * loads_.size()) drop_outdated();
    longest_.push_back({ns, load.queue_version, load.rank, load.place});
    std::push_heap(longest_.begin(), longest_.end());
}

/// Elements that are outdated leave the heap when they come to its top, or all of them here when
/// they are more than half.
void Loads::drop_outdated() {
    std::erase_if(longest_, [&](const Queue& queue) {
        ++looked_at_;
        return loads_[queue.place].queue_version != queue.version;
    });
    std::make_heap(longest_.begin(), longest_.end());
}

/// How long the queue there is for others to help with it; 0 when it is not worth the trip.
std::uint64_t Loads::queue_ns(const Load& load) const noexcept {
    const std::uint32_t free = load.count[kind(Bound::no)];
    if (!load.alive || load.asked != Asked::nothing || free <= load.workers) return 0;
    const std::uint64_t queued = free - load.workers;
    const std::uint64_t ns = queued * (load.average_ns == 0 ? window_ns_ : load.average_ns);
    return ns >= window_ns_ ? ns : 0;
}

/// Tasks that could begin there at once, or in a moment where results come.
std::uint32_t Loads::idle(const Load& load) noexcept {
    if (!takes_tasks(load)) return 0;
    const std::uint32_t most = load.moved ? load.ahead : load.workers;
    return most - std::min(most, load.sent);
}

// ---- taking back ----

Loads::Recall Loads::ask(Load& load, std::uint32_t count, Asked how) {
    load.asked = how;
    load.asked_for = count;
    load.closed = load.closed || how > Asked::kindly;
    for (const Bound bound : {Bound::no, Bound::near}) {
        if (how < lowest(bound)) continue;
        load.asked_of[kind(bound)] = std::exchange(load.maybe[kind(bound)], 0);
    }
    settle(load);
    return {load.rank, count, how};
}

std::optional<Loads::Recall> Loads::recall() {
    refresh();
    while (!longest_.empty()) {
        ++looked_at_;
        const Queue queue = longest_.front();
        Load& load = loads_[queue.place];
        if (load.queue_version == queue.version) {
            const std::uint32_t free = load.count[kind(Bound::no)];
            return ask(load, (free - load.workers + 1) / 2, Asked::kindly);
        }
        std::pop_heap(longest_.begin(), longest_.end());
        longest_.pop_back();
    }
    return std::nullopt;
}

void Loads::look(std::uint64_t now_ns, std::uint32_t idle_here) {
    refresh();
    note_moved();
    note_waiting(now_ns);
    now_ns_ = now_ns;
    stuck_at_ = 0;
    idle_ = idle_here + unknown_workers_ + idle_there_;
    for (const Place at : moved_) idle_ += idle(loads_[at]) - loads_[at].idle;
}

void Loads::note_moved() {
    for (const Place at : moved_) loads_[at].moved = false;
    moved_.swap(resulted_);
    resulted_.clear();
    for (const Place at : moved_) {
        ++looked_at_;
        Load& load = loads_[at];
        load.moved = true;
        load.resulted = false;
        load.seen = load.results;
    }
}

/// Those where nothing waits any more leave the list, which is in the order of the ranks then.
void Loads::note_waiting(std::uint64_t now_ns) {
    const auto by_rank = [&](Place a, Place b) { return loads_[a].rank < loads_[b].rank; };
    const auto middle = waiting_.begin() + static_cast<std::ptrdiff_t>(waiting_seen_);
    std::sort(middle, waiting_.end(), by_rank);
    std::inplace_merge(waiting_.begin(), middle, waiting_.end(), by_rank);
    std::erase_if(waiting_, [&](Place at) {
        ++looked_at_;
        Load& load = loads_[at];
        if (load.moved || !load.waited) load.still_since_ns = now_ns;
        load.waited = load.listed = load.waits;
        return !load.waits;
    });
    waiting_seen_ = waiting_.size();
}

std::optional<Loads::Recall> Loads::recall_stuck() {
    // What was passed over since the look stays so: what is idle elsewhere only becomes less.
    for (; stuck_at_ < waiting_seen_; ++stuck_at_) {
        ++looked_at_;
        Load& load = loads_[waiting_[stuck_at_]];
        const std::uint32_t own = idle(load);
        if (load.asked != Asked::nothing || may_wait(load) == 0 || idle_ <= own) continue;
        const std::uint64_t still = now_ns_ - load.still_since_ns;
        if (still < patience_ns_) continue;
        std::uint64_t count = load.maybe[kind(Bound::no)];
        const bool near = still >= near_patience_ns && load.maybe[kind(Bound::near)] != 0;
        if (near) count += load.maybe[kind(Bound::near)];
        count = std::min(count, idle_ - own);
        if (count == 0) continue;
        idle_ -= count + own;
        ++stuck_at_;
        return ask(load, static_cast<std::uint32_t>(count), near ? Asked::near : Asked::stuck);
    }
    return std::nullopt;
}

void Loads::answered(Rank rank, std::uint32_t count, std::uint32_t unready, std::uint32_t idle) {
    Load& load = entry(rank);
    const Asked how = std::exchange(load.asked, Asked::nothing);
    for (const Bound bound : {Bound::no, Bound::near}) {
        if (how < lowest(bound)) continue;
        // Less than asked for: the others have begun.
        const std::uint32_t asked = load.asked_of[kind(bound)];
        const std::uint32_t left = count < load.asked_for ? std::min(unready, asked) : asked;
        std::uint32_t& maybe = load.maybe[kind(bound)];
        maybe = std::min(maybe + left, load.count[kind(bound)]);
    }
    if (how > Asked::kindly) load.closed = idle == 0;
    settle(load);
}

void Loads::opened(Rank rank) {
    Load& load = entry(rank);
    load.closed = load.asked > Asked::kindly;
    settle(load);
}

}  // namespace mobula::scheduler
