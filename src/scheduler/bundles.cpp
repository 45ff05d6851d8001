// SPDX-License-Identifier: Apache-2.0
#include "scheduler/bundles.hpp"

#include <algorithm>
#include <cstddef>

namespace mobula::scheduler {
namespace {

/// The rank for the next bundle, or nothing. `taken` counts the bundles of each rank.
std::optional<std::size_t> choose(const Amounts& bundle, std::span<const Amounts> left,
                                  std::span<const std::size_t> taken, Strategy strategy) {
    std::optional<std::size_t> best;
    for (std::size_t rank = 0; rank < left.size(); ++rank) {
        if (!fits(left[rank], bundle)) continue;
        if (strategy == Strategy::strict_spread && taken[rank] != 0) continue;
        const bool better = !best || (strategy == Strategy::pack ? taken[rank] > taken[*best]
                                                                 : taken[rank] < taken[*best]);
        if (better) best = rank;
    }
    return best;
}

std::optional<std::vector<Rank>> place_on_one(std::span<const Amounts> bundles,
                                              std::span<const Amounts> room) {
    Amounts sum;
    for (const Amounts& bundle : bundles) sum += bundle;
    const auto found = std::find_if(room.begin(), room.end(),
                                    [&](const Amounts& rank) { return fits(rank, sum); });
    if (found == room.end()) return std::nullopt;
    return std::vector<Rank>(bundles.size(), static_cast<Rank>(found - room.begin()));
}

}  // namespace

std::optional<std::vector<Rank>> place_bundles(std::span<const Amounts> bundles,
                                               std::span<const Amounts> room,
                                               Strategy strategy) {
    if (strategy == Strategy::strict_pack) return place_on_one(bundles, room);
    std::vector<Amounts> left(room.begin(), room.end());
    std::vector<std::size_t> taken(room.size());
    std::vector<Rank> ranks;
    for (const Amounts& bundle : bundles) {
        const std::optional<std::size_t> rank = choose(bundle, left, taken, strategy);
        if (!rank) return std::nullopt;
        left[*rank] -= bundle;
        ++taken[*rank];
        ranks.push_back(static_cast<Rank>(*rank));
    }
    return ranks;
}

}  // namespace mobula::scheduler
