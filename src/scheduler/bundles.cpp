// SPDX-License-Identifier: Apache-2.0
#include "scheduler/bundles.hpp"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace mobula::scheduler {
namespace {

/// A search in depth for one placement. Ledgers and not only sums, because parts of several GPUs
/// are no whole one.
class Search {
public:
    Search(std::span<const Amounts> bundles, std::span<const Amounts> room, Strategy strategy)
        : bundles_(bundles), strategy_(strategy), taken_(room.size()), ranks_(bundles.size()) {
        for (const Amounts& rank : room) left_.emplace_back(rank);
        // The bundle with the least choice comes first, of equals the larger one.
        std::vector<std::tuple<std::size_t, std::int64_t, std::int64_t, std::size_t>> keys;
        for (std::size_t i = 0; i < bundles.size(); ++i) {
            const auto choice = static_cast<std::size_t>(
                std::count_if(left_.begin(), left_.end(),
                              [&](const Ledger& rank) { return rank.has(bundles[i]); }));
            keys.emplace_back(choice, -bundles[i].gpus(), -bundles[i].cpus(), i);
        }
        std::sort(keys.begin(), keys.end());
        for (const auto& key : keys) order_.push_back(std::get<3>(key));
        possible_ = keys.empty() || std::get<0>(keys.front()) > 0;
    }

    [[nodiscard]] std::optional<std::vector<Rank>> run() {
        if (!possible_ || !place(0)) return std::nullopt;
        return ranks_;
    }

private:
    /// Places the bundles from the one at `at` in the order on; false, with all as it was, if that
    /// cannot be done.
    bool place(std::size_t at) {
        if (at == order_.size()) return true;
        const std::size_t bundle = order_[at];
        const Amounts& demand = bundles_[bundle];
        std::vector<std::size_t> tried;
        for (const std::size_t rank : candidates()) {
            if (steps_ > place_steps_max + bundles_.size()) return false;
            const auto same = [&](std::size_t other) {
                return left_[other].free() == left_[rank].free() &&
                       left_[other].total() == left_[rank].total() &&
                       (taken_[other] == 0) == (taken_[rank] == 0);
            };
            // What failed with one rank fails with another in the same state.
            if (demand.gpus() == 0 && std::any_of(tried.begin(), tried.end(), same)) continue;
            const auto gpus = left_[rank].try_acquire(demand);
            if (!gpus) continue;
            ++steps_;
            ++taken_[rank];
            ranks_[bundle] = static_cast<Rank>(rank);
            if (place(at + 1)) return true;
            --taken_[rank];
            left_[rank].release(demand, *gpus);
            tried.push_back(rank);
        }
        return false;
    }

    /// The ranks that the strategy allows for the next bundle, the one it likes best first.
    [[nodiscard]] std::vector<std::size_t> candidates() const {
        std::vector<std::size_t> ranks(left_.size());
        std::iota(ranks.begin(), ranks.end(), std::size_t{0});
        if (strategy_ == Strategy::strict_spread) {
            std::erase_if(ranks, [&](std::size_t rank) { return taken_[rank] != 0; });
        } else {
            std::stable_sort(ranks.begin(), ranks.end(), [&](std::size_t a, std::size_t b) {
                return strategy_ == Strategy::spread ? taken_[a] < taken_[b]
                                                     : taken_[a] > taken_[b];
            });
        }
        return ranks;
    }

    std::span<const Amounts> bundles_;
    Strategy strategy_;
    std::vector<Ledger> left_;
    std::vector<std::size_t> taken_;
    std::vector<Rank> ranks_;
    std::vector<std::size_t> order_;
    std::size_t steps_ = 0;
    bool possible_ = true;
};

/// The first rank that holds all of them.
std::optional<std::vector<Rank>> place_on_one(std::span<const Amounts> bundles,
                                              std::span<const Amounts> room) {
    for (std::size_t rank = 0; rank < room.size(); ++rank) {
        if (Search(bundles, room.subspan(rank, 1), Strategy::pack).run()) {
            return std::vector<Rank>(bundles.size(), static_cast<Rank>(rank));
        }
    }
    return std::nullopt;
}

/// Whether all ranks together have what all bundles ask for; spares the search what cannot be.
bool fits_in_sum(std::span<const Amounts> bundles, std::span<const Amounts> room) {
    Amounts asked, there;
    for (const Amounts& bundle : bundles) asked += bundle;
    for (const Amounts& rank : room) there += rank;
    return fits(there, asked);
}

}  // namespace

std::optional<std::vector<Rank>> place_bundles(std::span<const Amounts> bundles,
                                               std::span<const Amounts> room, Strategy strategy) {
    if (!fits_in_sum(bundles, room)) return std::nullopt;
    if (strategy == Strategy::strict_spread && bundles.size() > room.size()) return std::nullopt;
    if (strategy == Strategy::strict_pack) return place_on_one(bundles, room);
    return Search(bundles, room, strategy).run();
}

}  // namespace mobula::scheduler
