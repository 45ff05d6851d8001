// SPDX-License-Identifier: Apache-2.0
/// Goal: a placement group is placed whenever it can be, all bundles or none, and as its strategy
/// says. Method: examples; every placement tried by brute force for thousands of small groups.
#include "scheduler/bundles.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

namespace mobula::scheduler {
namespace {

using testing::ElementsAre;

std::vector<Amounts> of_cpus(std::initializer_list<double> cpus) {
    std::vector<Amounts> amounts;
    for (const double each : cpus) amounts.emplace_back(each, 0);
    return amounts;
}

std::vector<std::size_t> placed(const std::vector<Amounts>& bundles,
                                const std::vector<Amounts>& room, Strategy strategy) {
    const auto ranks = place_bundles(bundles, room, strategy);
    std::vector<std::size_t> numbers;
    if (!ranks) return {99};
    for (const Rank rank : *ranks) numbers.push_back(index(rank));
    return numbers;
}

TEST(Bundles, PackUsesFewRanks) {
    EXPECT_THAT(placed(of_cpus({1, 1, 2}), of_cpus({4, 4}), Strategy::pack), ElementsAre(0, 0, 0));
    EXPECT_THAT(placed(of_cpus({3, 3}), of_cpus({4, 4}), Strategy::pack), ElementsAre(0, 1));
}

TEST(Bundles, SpreadUsesManyButDoesNotInsist) {
    EXPECT_THAT(placed(of_cpus({1, 1}), of_cpus({4, 4, 4}), Strategy::spread), ElementsAre(0, 1));
    EXPECT_THAT(placed(of_cpus({1, 1, 1}), of_cpus({4, 1}), Strategy::spread),
                ElementsAre(0, 1, 0));
}

TEST(Bundles, StrictMeansStrict) {
    EXPECT_THAT(placed(of_cpus({2, 2}), of_cpus({3, 4}), Strategy::strict_pack), ElementsAre(1, 1));
    EXPECT_THAT(placed(of_cpus({2, 3}), of_cpus({3, 4}), Strategy::strict_pack), ElementsAre(99));
    EXPECT_THAT(placed(of_cpus({1, 1, 1}), of_cpus({9, 9}), Strategy::strict_spread),
                ElementsAre(99));
}

TEST(Bundles, TheOrderInWhichTheyAreGivenDoesNotMatter) {
    EXPECT_THAT(placed(of_cpus({2, 4}), of_cpus({4, 2}), Strategy::strict_spread),
                ElementsAre(1, 0));
    EXPECT_THAT(placed(of_cpus({1, 2, 2, 1, 3}), of_cpus({4, 5}), Strategy::spread),
                testing::Not(ElementsAre(99)));
}

TEST(Bundles, PartsOfSeveralGpusAreNoWholeOne) {
    const std::vector<Amounts> room{Amounts(0, 2)};
    const Amounts most(0, 0.6);
    EXPECT_THAT(placed({most, most}, room, Strategy::strict_pack), ElementsAre(0, 0));
    EXPECT_THAT(placed({most, most, most}, room, Strategy::pack), ElementsAre(99));
    EXPECT_THAT(placed({most, Amounts(0, 1)}, room, Strategy::pack), ElementsAre(0, 0));
}

TEST(Bundles, OfNothingAndOnNothing) {
    EXPECT_THAT(placed({}, of_cpus({1}), Strategy::pack), ElementsAre());
    EXPECT_THAT(placed(of_cpus({1}), {}, Strategy::pack), ElementsAre(99));
    EXPECT_THAT(placed(of_cpus({0}), of_cpus({1}), Strategy::spread), ElementsAre(0));
}

TEST(Bundles, ManyAreStillQuick) {
    const std::vector<Amounts> bundles(1000, Amounts(1, 0));
    const std::vector<Amounts> room(250, Amounts(4, 0));
    for (const Strategy strategy : {Strategy::pack, Strategy::spread}) {
        EXPECT_TRUE(place_bundles(bundles, room, strategy));
    }
    // Fits in sum, but not in parts: the search has to end.
    const std::vector<Amounts> odd(100, Amounts(3, 0));
    EXPECT_FALSE(place_bundles(odd, std::vector<Amounts>(100, Amounts(2, 0)), Strategy::pack));
    std::vector<Amounts> mixed;
    for (int i = 0; i < 30; ++i) mixed.emplace_back(3 + i % 5 * 0.1, 0);
    EXPECT_FALSE(place_bundles(mixed, std::vector<Amounts>(20, Amounts(5, 0)), Strategy::pack));
}

/// Whether any assignment is allowed, by trying all.
bool possible(const std::vector<Amounts>& bundles, const std::vector<Amounts>& room,
              Strategy strategy) {
    std::vector<std::size_t> ranks(bundles.size(), 0);
    for (;;) {
        std::vector<Amounts> load(room.size());
        for (std::size_t i = 0; i < bundles.size(); ++i) load[ranks[i]] += bundles[i];
        const std::set<std::size_t> used(ranks.begin(), ranks.end());
        bool fitting = true;
        for (std::size_t r = 0; r < room.size(); ++r) fitting = fitting && fits(room[r], load[r]);
        if (strategy == Strategy::strict_pack) fitting = fitting && used.size() <= 1;
        if (strategy == Strategy::strict_spread) {
            fitting = fitting && used.size() == bundles.size();
        }
        if (fitting) return true;
        std::size_t digit = 0;
        while (digit < ranks.size() && ++ranks[digit] == room.size()) ranks[digit++] = 0;
        if (digit == ranks.size()) return false;
    }
}

TEST(Bundles, ArePlacedWheneverTheyCanBe) {
    std::mt19937 random(3);
    int placed_count = 0;
    for (int run = 0; run < 4000; ++run) {
        std::vector<Amounts> bundles, room;
        const std::size_t ranks = 1 + random() % 3;
        for (std::size_t i = 0; i < ranks; ++i) {
            room.emplace_back(random() % 5, random() % 3, Resources{{"disk", random() % 3 * 1.0}});
        }
        const std::size_t count = 1 + random() % 5;
        for (std::size_t i = 0; i < count; ++i) {
            bundles.emplace_back(random() % 3, random() % 4 == 0 ? 1 : 0,
                                 Resources{{"disk", random() % 4 == 0 ? 1.0 : 0.0}});
        }
        for (const Strategy strategy :
             {Strategy::pack, Strategy::spread, Strategy::strict_pack, Strategy::strict_spread}) {
            const auto result = place_bundles(bundles, room, strategy);
            ASSERT_EQ(result.has_value(), possible(bundles, room, strategy));
            if (!result) continue;
            ++placed_count;
            std::vector<Amounts> load(room.size());
            std::set<Rank> used;
            for (std::size_t i = 0; i < count; ++i) {
                load[index((*result)[i])] += bundles[i];
                used.insert((*result)[i]);
            }
            for (std::size_t r = 0; r < ranks; ++r) ASSERT_TRUE(fits(room[r], load[r]));
            if (strategy == Strategy::strict_pack) {
                ASSERT_EQ(used.size(), 1U);
            }
            if (strategy == Strategy::strict_spread) {
                ASSERT_EQ(used.size(), count);
            }
        }
    }
    EXPECT_GT(placed_count, 1000);
}

}  // namespace
}  // namespace mobula::scheduler
