// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "base/ids.hpp"
#include "base/rank_index.hpp"

namespace mobula {

/// A value for each rank that was named, made when it is named first: memory goes with their
/// number and not with the ranks of the job. A value stays where it is until the map goes.
/// Reentrant.
template <class Value>
class RankMap {
public:
    [[nodiscard]] Value& operator[](Rank rank) {
        const std::uint32_t number = index_.add(rank);
        if (number == values_.size()) values_.push_back(std::make_unique<Value>());
        return *values_[number];
    }
    /// Null for a rank without a value.
    [[nodiscard]] Value* find(Rank rank) noexcept {
        const std::uint32_t number = index_.find(rank);
        return number == RankIndex::none ? nullptr : values_[number].get();
    }
    [[nodiscard]] std::size_t size() const noexcept { return values_.size(); }

private:
    RankIndex index_;
    std::vector<std::unique_ptr<Value>> values_;  // by number
};

}  // namespace mobula
