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
    void grant(Rank rank, std::int64_t grants = 1) { change(rank, grants); }
    void give_back(Rank rank, std::int64_t grants) { change(rank, -grants); }
    void strike(Rank rank) {
        std::erase_if(counts_, [&](const Count& c) { return c.rank == rank; });
    }

    [[nodiscard]] bool held() const noexcept { return !counts_.empty(); }
    [[nodiscard]] std::size_t ranks() const noexcept { return counts_.size(); }

private:
    struct Count {
        Rank rank;
        std::int64_t grants;
    };

    void change(Rank rank, std::int64_t by) {
        const auto found = std::find_if(counts_.begin(), counts_.end(),
                                        [&](const Count& c) { return c.rank == rank; });
        if (found == counts_.end()) {
            if (by != 0) counts_.push_back({rank, by});
            return;
        }
        found->grants += by;
        if (found->grants == 0) counts_.erase(found);
    }

    std::vector<Count> counts_;  // ranks whose count is not zero; few, so a search is cheap
};

}  // namespace mobula::graph
