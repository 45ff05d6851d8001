// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "scheduler/loads.hpp"

namespace mobula::scheduler::testing {

/// The decisions of Loads as they are plainest: an entry for each rank of the job, and every
/// decision looks at all of them. Loads must come to the same ones. It has no next_with_room(): any
/// rank with room is as right, as long as each gets its turn.
class PlainLoads {
public:
    static constexpr std::uint32_t ahead_max = Loads::ahead_max;
    static constexpr std::uint32_t ahead_unknown = Loads::ahead_unknown;
    static constexpr std::uint64_t near_patience_ns = Loads::near_patience_ns;
    using Bound = Loads::Bound;
    using Asked = Loads::Asked;
    using Recall = Loads::Recall;

    PlainLoads(Rank self, const std::vector<unsigned>& workers, std::uint64_t window_ns,
               std::uint64_t patience_ns = 2'000'000)
        : self_(self), window_ns_(window_ns), patience_ns_(patience_ns) {
        for (const unsigned count : workers) {
            Load load;
            load.workers = std::max(count, 1U);
            load.ahead = load.workers * ahead_unknown;
            loads_.push_back(load);
        }
    }

    [[nodiscard]] bool room(Rank rank) const noexcept {
        const Load& load = loads_[index(rank)];
        return rank != self_ && load.alive && !load.closed && load.sent < load.ahead;
    }
    [[nodiscard]] std::uint32_t room() const noexcept {
        std::uint32_t tasks = 0;
        for (std::size_t i = 0; i < loads_.size(); ++i) {
            if (room(static_cast<Rank>(i))) tasks += loads_[i].ahead - loads_[i].sent;
        }
        return tasks;
    }
    void sent(Rank rank, Bound bound = Bound::no) noexcept {
        Load& load = loads_[index(rank)];
        ++load.sent;
        ++load.count[place(bound)];
        ++load.maybe[place(bound)];
    }
    void done(Rank rank, std::uint32_t run_ns, Bound bound = Bound::no) noexcept {
        failed(rank, bound);
        Load& load = loads_[index(rank)];
        const std::uint64_t ns = std::max<std::uint32_t>(run_ns, 1);
        load.average_ns = load.average_ns == 0 ? ns : (load.average_ns * 7 + ns) / 8;
        const std::uint64_t ahead =
            window_ns_ * load.workers / std::max<std::uint64_t>(load.average_ns, 1);
        load.ahead = static_cast<std::uint32_t>(
            std::clamp<std::uint64_t>(ahead, load.workers + 1, ahead_max));
    }
    void failed(Rank rank, Bound bound = Bound::no) noexcept {
        returned(rank, bound);
        Load& load = loads_[index(rank)];
        ++load.results;
        if (bound == Bound::no) load.closed = load.asked > Asked::kindly;
    }
    void returned(Rank rank, Bound bound = Bound::no) noexcept {
        Load& load = loads_[index(rank)];
        --load.sent;
        const std::uint32_t left = --load.count[place(bound)];
        load.maybe[place(bound)] = std::min(load.maybe[place(bound)], left);
    }
    void lost(Rank rank) noexcept { loads_[index(rank)].alive = false; }

    [[nodiscard]] std::uint32_t sent_to(Rank rank) const noexcept {
        return loads_[index(rank)].sent;
    }
    [[nodiscard]] bool wants_more(Rank rank) const noexcept {
        return loads_[index(rank)].sent <= loads_[index(rank)].ahead / 2 && room(rank);
    }

    // ---- taking back ----

    [[nodiscard]] std::optional<Recall> recall() noexcept {
        Load* longest = nullptr;
        std::uint64_t longest_ns = window_ns_;
        for (Load& load : loads_) {
            const std::uint32_t free = load.count[place(Bound::no)];
            if (!load.alive || load.asked != Asked::nothing || free <= load.workers) continue;
            const std::uint64_t queued = free - load.workers;
            const std::uint64_t ns = queued * (load.average_ns == 0 ? window_ns_ : load.average_ns);
            if (ns >= longest_ns) {
                longest_ns = ns;
                longest = &load;
            }
        }
        if (longest == nullptr) return std::nullopt;
        const std::uint32_t free = longest->count[place(Bound::no)];
        return ask(*longest, (free - longest->workers + 1) / 2, Asked::kindly);
    }

    void look(std::uint64_t now_ns, std::uint32_t idle_here) noexcept {
        idle_ = idle_here;
        now_ns_ = now_ns;
        for (Load& load : loads_) {
            load.moved = load.results != std::exchange(load.seen, load.results);
            if (load.moved || !load.waited) load.still_since_ns = now_ns;
            load.waited = may_wait(load) != 0;
            idle_ += idle(load);
        }
    }
    [[nodiscard]] std::optional<Recall> recall_stuck() noexcept {
        for (Load& load : loads_) {
            const std::uint32_t own = idle(load);
            if (load.asked != Asked::nothing || may_wait(load) == 0 || idle_ <= own) continue;
            const std::uint64_t still = now_ns_ - load.still_since_ns;
            if (still < patience_ns_) continue;
            std::uint32_t count = load.maybe[place(Bound::no)];
            const bool near = still >= near_patience_ns && load.maybe[place(Bound::near)] != 0;
            if (near) count += load.maybe[place(Bound::near)];
            count = std::min(count, idle_ - own);
            if (count == 0) continue;
            idle_ -= count + own;
            return ask(load, count, near ? Asked::near : Asked::stuck);
        }
        return std::nullopt;
    }
    void answered(Rank rank, std::uint32_t count, std::uint32_t unready,
                  std::uint32_t idle) noexcept {
        Load& load = loads_[index(rank)];
        const Asked how = std::exchange(load.asked, Asked::nothing);
        for (const Bound bound : {Bound::no, Bound::near}) {
            if (how < lowest(bound)) continue;
            // Less than asked for: the others have begun.
            const std::uint32_t asked = load.asked_of[place(bound)];
            const std::uint32_t left = count < load.asked_for ? std::min(unready, asked) : asked;
            std::uint32_t& maybe = load.maybe[place(bound)];
            maybe = std::min(maybe + left, load.count[place(bound)]);
        }
        if (how > Asked::kindly) load.closed = idle == 0;
    }
    void opened(Rank rank) noexcept {
        Load& load = loads_[index(rank)];
        load.closed = load.asked > Asked::kindly;
    }
    [[nodiscard]] Asked asked(Rank rank) const noexcept { return loads_[index(rank)].asked; }
    [[nodiscard]] bool anything_waits() const noexcept {
        return std::any_of(loads_.begin(), loads_.end(),
                           [](const Load& load) { return load.alive && may_wait(load) != 0; });
    }

private:
    static constexpr std::size_t bounds = 3;
    struct Load {
        std::uint32_t workers = 1;
        std::uint32_t sent = 0;
        std::uint32_t ahead = 0;
        std::array<std::uint32_t, bounds> count{};  ///< of those sent, by Bound
        std::array<std::uint32_t, bounds> maybe{};  ///< at most so many have not begun
        std::uint64_t average_ns = 0;
        std::uint32_t results = 0;  ///< that came
        bool alive = true;
        bool closed = false;  ///< it is busy with something else
        Asked asked = Asked::nothing;
        // As of the last look.
        bool waited = false;  ///< something may have waited there
        bool moved = false;   ///< results had come
        std::uint32_t seen = 0;
        std::uint64_t still_since_ns = 0;
        // As of the last question.
        std::uint32_t asked_for = 0;
        std::array<std::uint32_t, bounds> asked_of{};  ///< `maybe` then
    };

    static constexpr std::size_t place(Bound bound) noexcept {
        return static_cast<std::size_t>(bound);
    }
    /// How a rank must be asked to give back what is so bound.
    static constexpr Asked lowest(Bound bound) noexcept {
        return bound == Bound::no ? Asked::kindly : Asked::near;
    }
    static std::uint32_t may_wait(const Load& load) noexcept {
        return load.alive ? load.maybe[place(Bound::no)] + load.maybe[place(Bound::near)] : 0;
    }
    /// Tasks that could begin there at once, or in a moment where results come.
    [[nodiscard]] std::uint32_t idle(const Load& load) const noexcept {
        if (&load == &loads_[index(self_)] || !load.alive || load.closed) return 0;
        const std::uint32_t most = load.moved ? load.ahead : load.workers;
        return most - std::min(most, load.sent);
    }
    Recall ask(Load& load, std::uint32_t count, Asked how) noexcept {
        load.asked = how;
        load.asked_for = count;
        load.closed = load.closed || how > Asked::kindly;
        for (const Bound bound : {Bound::no, Bound::near}) {
            if (how < lowest(bound)) continue;
            load.asked_of[place(bound)] = std::exchange(load.maybe[place(bound)], 0);
        }
        return {static_cast<Rank>(&load - loads_.data()), count, how};
    }

    Rank self_;
    std::uint64_t window_ns_;
    std::uint64_t patience_ns_;
    std::vector<Load> loads_;
    std::uint64_t now_ns_ = 0;  ///< of the last look
    std::uint32_t idle_ = 0;    ///< so many tasks could begin elsewhere at once
};

}  // namespace mobula::scheduler::testing
