// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/ids.hpp"
#include "base/rank_index.hpp"

namespace mobula::scheduler {

/// What one rank has sent to the others and not got back, and how much more each may get. Pure.
///
/// Each rank gets as much work ahead as it does in about `window` of time, so that it never idles
/// for a round trip; at least one task more than it has workers, so that long tasks do not pile up
/// where others could take them. What a rank does not get to comes back when a worker idles
/// elsewhere: see recall() and recall_stuck().
///
/// Only a rank that was sent something, or had its turn, has an entry: of the others is known
/// what all of them have in common, that they have nothing of this rank's, and how many workers
/// they have in all. So memory goes with the ranks that this one deals with. No decision goes over
/// all entries either: next_with_room() takes the first of a ring, recall() the top of a heap, and
/// look() goes over those entries that changed or that tasks wait at. Reentrant.
class Loads {
public:
    static constexpr std::uint32_t ahead_max = 4096;
    static constexpr std::uint32_t ahead_unknown = 4;  ///< per worker, before a run time is known
    /// A task near its input bytes stays there for so long, though others idle: mostly the bytes
    /// take longer.
    static constexpr std::uint64_t near_patience_ns = 100'000'000;

    /// How many workers a rank of the job has; asked when a rank joins and when it gets an entry.
    using WorkersOf = std::function<unsigned(Rank)>;

    Loads(Rank self, std::uint32_t ranks, WorkersOf workers_of, std::uint64_t window_ns,
          std::uint64_t patience_ns = 2'000'000);

    /// From now on the job has so many ranks, which are not fewer than before.
    void join(std::uint32_t ranks);

    [[nodiscard]] bool room(Rank rank) const noexcept {
        const Load* const load = find(rank);
        return load == nullptr ? index(rank) < ranks_ : has_room(*load);
    }
    /// For so many tasks there is room on other ranks; not counted beyond `most`.
    [[nodiscard]] std::uint32_t room_for(std::uint32_t most) noexcept;
    /// The next rank that has room: each rank once in the order of the ranks behind this one, and
    /// then those with room in turn.
    [[nodiscard]] std::optional<Rank> next_with_room();

    /// Of a task: whether it must run where it is sent (`yes`), or better stays there because its
    /// input bytes are there (`near`).
    enum class Bound : std::uint8_t { no, near, yes };

    void sent(Rank rank, Bound bound = Bound::no) {
        Load& load = entry(rank);
        ++load.sent;
        ++load.count[kind(bound)];
        ++load.maybe[kind(bound)];
        if (load.in_turn && load.sent >= load.ahead) leave_turn(load);
        note_change(load);
    }
    /// A task came back after it ran for so long; whether it is time to send more, as wants_more().
    bool done(Rank rank, std::uint32_t run_ns, Bound bound = Bound::no) {
        Load& load = entry(rank);
        count_failed(load, bound);
        const std::uint64_t ns = std::max<std::uint32_t>(run_ns, 1);
        load.average_ns = load.average_ns == 0 ? ns : (load.average_ns * 7 + ns) / 8;
        const std::uint64_t ahead =
            window_ns_ * load.workers / std::max<std::uint64_t>(load.average_ns, 1);
        load.ahead = static_cast<std::uint32_t>(
            std::clamp<std::uint64_t>(ahead, load.workers + 1, ahead_max));
        settle(load);
        return load.in_turn && load.sent <= load.ahead / 2;
    }
    /// The same of one that came back failed, whether it ran or not: how long it took says nothing
    /// of the others.
    bool failed(Rank rank, Bound bound = Bound::no) {
        Load& load = entry(rank);
        count_failed(load, bound);
        settle(load);
        return load.in_turn && load.sent <= load.ahead / 2;
    }
    /// It came back without having run.
    void returned(Rank rank, Bound bound = Bound::no) {
        Load& load = entry(rank);
        count_returned(load, bound);
        settle(load);
    }
    void lost(Rank rank);

    [[nodiscard]] std::uint32_t sent_to(Rank rank) const noexcept {
        const Load* const load = find(rank);
        return load == nullptr ? 0 : load->sent;
    }
    /// Whether the rank has so few tasks left that it is time to send more.
    [[nodiscard]] bool wants_more(Rank rank) const noexcept {
        const Load* const load = find(rank);
        return load == nullptr ? room(rank) : load->sent <= load->ahead / 2 && has_room(*load);
    }

    // ---- taking back ----

    /// How urgently a rank is asked for tasks. `kindly`: it works them off, and others could help;
    /// `stuck`: it does not get to them; `near`: nor to those near their bytes.
    enum class Asked : std::uint32_t { nothing, kindly, stuck, near };
    struct Recall {
        Rank from;
        std::uint32_t count;
        Asked how;
    };
    /// This rank is idle: the rank from which to take back tasks that cannot have started yet, and
    /// how many: the one with the longest queue, if that is worth the trip. Remembers that it was
    /// asked.
    [[nodiscard]] std::optional<Recall> recall();

    /// To be called now and then, before recall_stuck(): notes which ranks have given results since
    /// the last time, and where something could begin at once. `idle_here`: workers of this rank
    /// that have nothing to do.
    void look(std::uint64_t now_ns, std::uint32_t idle_here);
    /// A rank that has given nothing for a moment, while it may have tasks that have not begun and
    /// could begin at once elsewhere; how long tasks take on the average says nothing of the one
    /// that they wait behind. Such a rank gets no more until it shows that it goes on, by a result,
    /// or says that it has room. Remembers that it was asked.
    [[nodiscard]] std::optional<Recall> recall_stuck();
    /// The rank gave back so many, which returned() was told of. `unready`: tasks of those kinds
    /// that it still has without having begun them, since their inputs are on their way; `idle`:
    /// its workers that have nothing to do.
    void answered(Rank rank, std::uint32_t count, std::uint32_t unready, std::uint32_t idle);
    /// It says that it has room.
    void opened(Rank rank);
    /// How the rank was asked for tasks which it has not answered yet.
    [[nodiscard]] Asked asked(Rank rank) const noexcept {
        const Load* const load = find(rank);
        return load == nullptr ? Asked::nothing : load->asked;
    }
    /// Whether a rank may have tasks that have not begun and could come back.
    [[nodiscard]] bool anything_waits() {
        refresh();
        return waits_ != 0;
    }

    // ---- what it costs ----

    /// Ranks that have an entry; this one is not counted.
    [[nodiscard]] std::size_t known() const noexcept { return loads_.size() - 1; }
    /// Memory that it has taken besides itself.
    [[nodiscard]] std::size_t bytes() const noexcept;
    /// Entries that decisions have looked at so far.
    [[nodiscard]] std::uint64_t looked_at() const noexcept { return looked_at_; }

private:
    static constexpr std::size_t bounds = 3;
    using Place = std::uint32_t;  ///< of an entry; that of this rank is 0, and the ring's end

    struct Load {
        Rank rank{};
        Place place = 0;
        std::uint32_t workers = 1;
        std::uint32_t sent = 0;
        std::uint32_t ahead = 0;
        std::array<std::uint32_t, bounds> count{};  ///< of those sent, by Bound
        std::array<std::uint32_t, bounds> maybe{};  ///< at most so many have not begun
        std::uint64_t average_ns = 0;
        std::uint32_t results = 0;  ///< that came
        Asked asked = Asked::nothing;
        bool alive = true;     ///< not lost, and not this rank
        bool closed = false;   ///< it is busy with something else
        bool in_turn = false;  ///< it is in the ring: it has room
        Place previous = 0, next = 0;
        // As of the last question.
        std::uint32_t asked_for = 0;
        std::array<std::uint32_t, bounds> asked_of{};  ///< `maybe` then

        // What follows from the above, as of the last refresh().
        bool changed = false;    ///< it is no longer true
        bool waits = false;      ///< something may wait there
        bool listed = false;     ///< in waiting_
        bool resulted = false;   ///< in resulted_
        std::uint32_t idle = 0;  ///< tasks that could begin there at once
        std::uint64_t queue_ns = 0;
        std::uint64_t queue_version = 0;
        // As of the last look.
        bool waited = false;  ///< something may have waited there
        bool moved = false;   ///< results had come
        std::uint32_t seen = 0;
        std::uint64_t still_since_ns = 0;
    };
    /// A queue that is worth a trip; outdated where the entry has another version.
    struct Queue {
        std::uint64_t ns;
        std::uint64_t version;
        Rank rank;
        Place place;
        /// For a heap with the longest on top.
        friend bool operator<(const Queue& a, const Queue& b) noexcept {
            return a.ns != b.ns ? a.ns < b.ns : a.rank < b.rank;
        }
    };

    static constexpr std::size_t kind(Bound bound) noexcept {
        return static_cast<std::size_t>(bound);
    }
    /// How a rank must be asked to give back what is so bound.
    static constexpr Asked lowest(Bound bound) noexcept {
        return bound == Bound::no ? Asked::kindly : Asked::near;
    }
    static std::uint32_t may_wait(const Load& load) noexcept {
        return load.alive ? load.maybe[kind(Bound::no)] + load.maybe[kind(Bound::near)] : 0;
    }
    static bool takes_tasks(const Load& load) noexcept { return load.alive && !load.closed; }
    static bool has_room(const Load& load) noexcept {
        return load.sent < load.ahead && takes_tasks(load);
    }

    [[nodiscard]] const Load* find(Rank rank) const noexcept {
        const Place at = index_.find(rank);
        return at == RankIndex::none ? nullptr : &loads_[at];
    }
    [[nodiscard]] Load& entry(Rank rank) {
        const Place at = index_.find(rank);
        return at == RankIndex::none ? make_entry(rank) : loads_[at];
    }
    Load& make_entry(Rank rank);
    [[nodiscard]] std::uint32_t workers_of(Rank rank) const;
    [[nodiscard]] std::optional<Rank> next_without_entry();

    static void count_returned(Load& load, Bound bound) noexcept {
        --load.sent;
        const std::uint32_t left = --load.count[kind(bound)];
        load.maybe[kind(bound)] = std::min(load.maybe[kind(bound)], left);
    }
    static void count_failed(Load& load, Bound bound) noexcept {
        count_returned(load, bound);
        ++load.results;
        if (bound == Bound::no) load.closed = load.asked > Asked::kindly;
    }
    void note_change(Load& load) {
        if (!load.changed) list_change(load);
    }
    void list_change(Load& load);
    /// To be called when it may have room now and had none, or the other way round.
    void settle(Load& load) {
        if (has_room(load) != load.in_turn) change_turn(load);
        note_change(load);
    }
    void change_turn(Load& load) noexcept;
    void enter_turn(Load& load) noexcept;
    void leave_turn(Load& load) noexcept;

    void refresh();
    void refresh(Load& load);
    void note_queue(Load& load);
    void drop_outdated();
    [[nodiscard]] std::uint64_t queue_ns(const Load& load) const noexcept;
    static std::uint32_t idle(const Load& load) noexcept;
    void note_moved();
    void note_waiting(std::uint64_t now_ns);
    Recall ask(Load& load, std::uint32_t count, Asked how);

    Rank self_;
    std::uint32_t ranks_ = 0;
    WorkersOf workers_of_;
    std::uint64_t window_ns_;
    std::uint64_t patience_ns_;
    RankIndex index_;
    std::vector<Load> loads_;
    // Ranks without an entry.
    std::uint64_t unknown_workers_ = 0;
    std::uint32_t next_behind_ = 0;  ///< from here on up, all ranks may have had no turn yet
    std::uint32_t next_before_ = 0;  ///< the same up to this rank

    std::vector<Place> changed_;
    std::vector<Queue> longest_;    ///< a heap, with outdated elements
    std::uint64_t versions_ = 0;    ///< of queues
    std::vector<Place> waiting_;    ///< where something may wait, or did at the last look
    std::size_t waiting_seen_ = 0;  ///< so many of them, in the order of ranks, at the last look
    std::size_t stuck_at_ = 0;      ///< the next of those for recall_stuck()
    std::vector<Place> resulted_;   ///< gave results since the last look
    std::vector<Place> moved_;      ///< gave results before the last look
    std::uint64_t idle_there_ = 0;  ///< tasks that could begin at once at those with an entry
    std::size_t waits_ = 0;         ///< ranks where something may wait
    std::uint64_t now_ns_ = 0;      ///< of the last look
    std::uint64_t idle_ = 0;        ///< so many tasks could begin elsewhere at once
    std::uint64_t looked_at_ = 0;
};

}  // namespace mobula::scheduler
