// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "base/ids.hpp"

namespace mobula::graph {

/// Which ranks hold an object, as its owner counts them. Pure. Reentrant.
///
/// Whoever sends a reference to rank R has the owner count one grant for R: the owner itself
/// before it sends, another holder by a message to the owner that it sends before its own release
/// (both travel in order on one channel). R gives all its grants back at once when it lets go. A
/// grant may be counted after it was given back (two senders, two channels), so counts may be
/// negative for a while; the object is held while any count is not zero. What a dead rank held is
/// struck, and its later messages are dropped by their incarnation.
class Holders {
public:
    void grant(Rank rank, std::int64_t grants = 1) { static_cast<void>(change(rank, grants)); }
    /// False for what no rank can have been granted.
    [[nodiscard]] bool give_back(Rank rank, std::int64_t grants) {
        if (grants <= 0 || grants > grants_max) return false;
        return change(rank, -grants);
    }
    void strike(Rank rank) {
        std::erase_if(few_, [&](const Count& c) { return c.rank == rank; });
        many_.erase(rank);
    }

    [[nodiscard]] bool held() const noexcept { return !few_.empty() || !many_.empty(); }
    [[nodiscard]] std::size_t ranks() const noexcept { return few_.size() + many_.size(); }

    static constexpr std::int64_t grants_max = std::int64_t{1} << 48U;

private:
    struct Count {
        Rank rank;
        std::int64_t grants;
    };
    /// So many are searched one by one: most objects have fewer holders, and none pays for the map.
    static constexpr std::size_t few_max = 8;

    [[nodiscard]] bool change(Rank rank, std::int64_t by) {
        const auto found =
            std::find_if(few_.begin(), few_.end(), [&](const Count& c) { return c.rank == rank; });
        if (found != few_.end()) {
            found->grants += by;
            const std::int64_t grants = found->grants;
            if (grants == 0) few_.erase(found);
            return is_possible(grants);
        }
        if (by == 0) return true;
        if (few_.size() == few_max || !many_.empty()) return change_many(rank, by);
        few_.push_back({rank, by});
        return true;
    }
    [[nodiscard]] bool change_many(Rank rank, std::int64_t by) {
        const auto at = many_.try_emplace(rank, 0).first;
        at->second += by;
        const std::int64_t grants = at->second;
        if (grants == 0) many_.erase(at);
        return is_possible(grants);
    }
    [[nodiscard]] static bool is_possible(std::int64_t grants) noexcept {
        return grants >= -grants_max && grants <= grants_max;
    }

    // Ranks whose count is not zero; each is in one of the two.
    std::vector<Count> few_;
    std::map<Rank, std::int64_t> many_;
};

}  // namespace mobula::graph
