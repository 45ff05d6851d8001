// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/ids.hpp"

namespace mobula {

/// Numbers ranks 0, 1, 2, ... in the order in which they are added, so that what is kept per rank
/// lies in a vector of those that matter here: memory goes with their number and not with the ranks
/// of the job. A few instructions per search, by hashing. A value; reentrant.
class RankIndex {
public:
    static constexpr std::uint32_t none = ~std::uint32_t{0};

    /// The number of the rank, or `none`.
    [[nodiscard]] std::uint32_t find(Rank rank) const noexcept {
        const auto key = static_cast<std::uint32_t>(rank);
        for (std::size_t at = start(key);; at = (at + 1) & (cells_.size() - 1)) {
            const Cell& cell = cells_[at];
            if (cell.rank == key) return cell.number;
            if (cell.number == none) return none;
        }
    }
    /// The number of the rank, which gets the next one if it has none.
    std::uint32_t add(Rank rank) {
        if (const std::uint32_t number = find(rank); number != none) return number;
        if (2 * (ranks_.size() + 1) > cells_.size()) grow();
        const auto number = static_cast<std::uint32_t>(ranks_.size());
        ranks_.push_back(rank);
        put(number);
        return number;
    }

    [[nodiscard]] std::size_t size() const noexcept { return ranks_.size(); }
    /// By number.
    [[nodiscard]] const std::vector<Rank>& ranks() const noexcept { return ranks_; }
    /// Memory that it has taken besides itself.
    [[nodiscard]] std::size_t bytes() const noexcept {
        return cells_.capacity() * sizeof(Cell) + ranks_.capacity() * sizeof(Rank);
    }

private:
    struct Cell {
        std::uint32_t rank = none;  ///< no job has so many
        std::uint32_t number = none;
    };
    static constexpr unsigned first_bits = 3;

    [[nodiscard]] std::size_t start(std::uint32_t key) const noexcept {
        return (key * 0x9E3779B1U) >> shift_;
    }
    void put(std::uint32_t number) noexcept {
        const auto key = static_cast<std::uint32_t>(ranks_[number]);
        std::size_t at = start(key);
        while (cells_[at].number != none) at = (at + 1) & (cells_.size() - 1);
        cells_[at] = {key, number};
    }
    void grow() {
        --shift_;
        cells_.assign(2 * cells_.size(), Cell{});
        for (std::uint32_t number = 0; number < ranks_.size(); ++number) put(number);
    }

    // A power of two, at most half of them taken. The shift leaves as many bits of a product.
    std::vector<Cell> cells_ = std::vector<Cell>(std::size_t{1} << first_bits);
    unsigned shift_ = 32 - first_bits;
    std::vector<Rank> ranks_;
};

}  // namespace mobula
