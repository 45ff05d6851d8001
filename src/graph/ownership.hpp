// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
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
        std::erase_if(counts_, [&](const Count& c) { return c.rank == rank; });
    }

    [[nodiscard]] bool held() const noexcept { return !counts_.empty(); }
    [[nodiscard]] std::size_t ranks() const noexcept { return counts_.size(); }

    static constexpr std::int64_t grants_max = std::int64_t{1} << 48U;

private:
    struct Count {
        Rank rank;
        std::int64_t grants;
    };

    [[nodiscard]] bool change(Rank rank, std::int64_t by) {
        const auto found = std::find_if(counts_.begin(), counts_.end(),
                                        [&](const Count& c) { return c.rank == rank; });
        if (found == counts_.end()) {
            if (by != 0) counts_.push_back({rank, by});
            return true;
        }
        found->grants += by;
        if (found->grants == 0) {
            counts_.erase(found);
            return true;
        }
        return found->grants >= -grants_max && found->grants <= grants_max;
    }

    std::vector<Count> counts_;  // ranks whose count is not zero; few, so a search is cheap
};

}  // namespace mobula::graph
