// SPDX-License-Identifier: Apache-2.0

// Goal: ranks are numbered in the order in which they are added, however they are mixed, and memory
// goes with their number. Method: random ranks against a map.

#include "base/rank_index.hpp"

#include "base/rank_map.hpp"

#include <gtest/gtest.h>

#include <random>
#include <unordered_map>

namespace mobula {
namespace {

TEST(rank_index, numbers_ranks_in_their_order) {
    RankIndex index;
    EXPECT_EQ(index.find(Rank{0}), RankIndex::none);
    EXPECT_EQ(index.add(Rank{7}), 0U);
    EXPECT_EQ(index.add(Rank{0}), 1U);
    EXPECT_EQ(index.add(Rank{7}), 0U);
    EXPECT_EQ(index.find(Rank{0}), 1U);
    EXPECT_EQ(index.find(Rank{1}), RankIndex::none);
    EXPECT_EQ(index.size(), 2U);
    EXPECT_EQ(index.ranks(), (std::vector<Rank>{Rank{7}, Rank{0}}));
}

TEST(rank_index, finds_what_was_added_and_nothing_else) {
    for (unsigned seed = 0; seed < 20; ++seed) {
        std::mt19937 random(seed);
        const std::uint32_t ranks = seed % 2 == 0 ? 100 : 1'000'000;
        RankIndex index;
        std::unordered_map<std::uint32_t, std::uint32_t> numbers;
        for (int step = 0; step < 3000; ++step) {
            const auto rank = static_cast<std::uint32_t>(random() % ranks);
            const auto found = numbers.find(rank);
            ASSERT_EQ(index.find(Rank{rank}),
                      found == numbers.end() ? RankIndex::none : found->second);
            if (random() % 4 == 0) {
                const auto number = static_cast<std::uint32_t>(numbers.size());
                ASSERT_EQ(index.add(Rank{rank}), numbers.emplace(rank, number).first->second);
            }
        }
        ASSERT_EQ(index.size(), numbers.size());
        EXPECT_LE(index.bytes(), 64 + 48 * numbers.size());
    }
}

TEST(rank_map, makes_a_value_when_it_is_named_and_leaves_it_where_it_is) {
    RankMap<int> map;
    EXPECT_EQ(map.find(Rank{5}), nullptr);
    int& first = map[Rank{5}];
    first = 7;
    for (std::uint32_t rank = 1000; rank < 2000; ++rank) map[Rank{rank}] = 1;
    EXPECT_EQ(&map[Rank{5}], &first);
    EXPECT_EQ(map.find(Rank{5}), &first);
    EXPECT_EQ(first, 7);
    EXPECT_EQ(map.size(), 1001U);
    EXPECT_EQ(map.find(Rank{6}), nullptr);
}

}  // namespace
}  // namespace mobula
