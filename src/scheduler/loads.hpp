// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.hpp"

namespace mobula::scheduler {

/// What one rank has sent to the others and not got back, and how much more each may get. Pure.
///
/// Each rank gets as much work ahead as it does in about `window` of time, so that it never idles
/// for a round trip; at least one task more than it has workers, so that long tasks do not pile up
/// where others could take them. Reentrant.
class Loads {
public:
    static constexpr std::uint32_t ahead_max = 4096;
    static constexpr std::uint32_t ahead_unknown = 4;  ///< per worker, before a run time is known

    Loads(Rank self, const std::vector<unsigned>& workers, std::uint64_t window_ns)
        : self_(self), window_ns_(window_ns) {
        for (const unsigned count : workers) {
            Load load;
            load.workers = std::max(count, 1U);
            load.ahead = load.workers * ahead_unknown;
            loads_.push_back(load);
        }
    }

    [[nodiscard]] bool room(Rank rank) const noexcept {
        return rank != self_ && loads_[index(rank)].alive &&
               loads_[index(rank)].sent < loads_[index(rank)].ahead;
    }
    /// The next rank in turn that has room.
    [[nodiscard]] std::optional<Rank> next_with_room() noexcept {
        for (std::size_t tried = 0; tried < loads_.size(); ++tried) {
            turn_ = turn_ + 1 == loads_.size() ? 0 : turn_ + 1;
            const auto rank = static_cast<Rank>(turn_);
            if (room(rank)) return rank;
        }
        return std::nullopt;
    }
    /// The next living rank in turn, this one included, whatever its load.
    [[nodiscard]] Rank next_in_turn() noexcept {
        do {
            spread_ = spread_ + 1 == loads_.size() ? 0 : spread_ + 1;
        } while (!loads_[spread_].alive);
        return static_cast<Rank>(spread_);
    }

    /// Of a task: whether it must run where it is sent, so that it cannot be taken back.
    enum class Bound : bool { no, yes };

    void sent(Rank rank, Bound bound = Bound::no) noexcept {
        ++loads_[index(rank)].sent;
        loads_[index(rank)].bound += static_cast<std::uint32_t>(bound);
    }
    /// A task came back after it ran for so long.
    void done(Rank rank, std::uint32_t run_ns, Bound bound = Bound::no) noexcept {
        returned(rank, bound);
        Load& load = loads_[index(rank)];
        const std::uint64_t ns = std::max<std::uint32_t>(run_ns, 1);
        load.average_ns = load.average_ns == 0 ? ns : (load.average_ns * 7 + ns) / 8;
        const std::uint64_t ahead =
            window_ns_ * load.workers / std::max<std::uint64_t>(load.average_ns, 1);
        load.ahead = static_cast<std::uint32_t>(
            std::clamp<std::uint64_t>(ahead, load.workers + 1, ahead_max));
    }
    /// It came back without having run.
    void returned(Rank rank, Bound bound = Bound::no) noexcept {
        --loads_[index(rank)].sent;
        loads_[index(rank)].bound -= static_cast<std::uint32_t>(bound);
    }
    void lost(Rank rank) noexcept { loads_[index(rank)].alive = false; }

    [[nodiscard]] std::uint32_t sent_to(Rank rank) const noexcept {
        return loads_[index(rank)].sent;
    }
    /// Whether the rank has so few tasks left that it is time to send more.
    [[nodiscard]] bool wants_more(Rank rank) const noexcept {
        return loads_[index(rank)].sent <= loads_[index(rank)].ahead / 2 && room(rank);
    }

    /// The rank from which to take back tasks that cannot have started yet, and how many: the one
    /// with the longest queue, if that is worth the trip. Remembers that it was asked.
    struct Recall {
        Rank from;
        std::uint32_t count;
    };
    [[nodiscard]] std::optional<Recall> recall() noexcept {
        Load* longest = nullptr;
        std::uint64_t longest_ns = window_ns_;
        for (Load& load : loads_) {
            if (load.recalling || load.sent - load.bound <= load.workers) continue;
            const std::uint64_t queued = load.sent - load.bound - load.workers;
            const std::uint64_t ns = queued * (load.average_ns == 0 ? window_ns_ : load.average_ns);
            if (ns >= longest_ns) {
                longest_ns = ns;
                longest = &load;
            }
        }
        if (longest == nullptr) return std::nullopt;
        longest->recalling = true;
        return Recall{static_cast<Rank>(longest - loads_.data()),
                      (longest->sent - longest->bound - longest->workers + 1) / 2};
    }
    void recalled(Rank rank) noexcept { loads_[index(rank)].recalling = false; }

private:
    struct Load {
        std::uint32_t workers = 1;
        std::uint32_t sent = 0;
        std::uint32_t bound = 0;  ///< of those
        std::uint32_t ahead = 0;
        std::uint64_t average_ns = 0;
        bool alive = true;
        bool recalling = false;
    };

    Rank self_;
    std::uint64_t window_ns_;
    std::vector<Load> loads_;
    std::size_t turn_ = 0;
    std::size_t spread_ = 0;
};

}  // namespace mobula::scheduler
