// SPDX-License-Identifier: Apache-2.0

// Goal: a demand goes to the rank that was chosen least of those that have what it asks for, and
// what a decision looks at does not grow with the job. Method: random demands and placements
// against counts of every rank; then jobs of 10 and of 10,000 ranks with what they look at counted.

#include "scheduler/choice.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

namespace mobula::scheduler {
namespace {

const Amounts nothing{};
const Amounts one_cpu(1, 0);
const Amounts one_gpu(1, 1);

/// The same by counts of all ranks.
class PlainChoice {
public:
    void join(const Amounts& total, Node node) {
        totals.push_back(total);
        nodes.push_back(node);
        chosen.push_back(0);
    }
    template <class Allowed>
    [[nodiscard]] std::vector<Rank> fitting(const Amounts& demand, Allowed allowed) const {
        std::vector<Rank> ranks;
        for (std::uint32_t i = 0; i < totals.size(); ++i) {
            if (allowed(i) && fits(totals[i], demand)) ranks.push_back(Rank{i});
        }
        return ranks;
    }
    Rank least(const std::vector<Rank>& ranks) {
        const Rank best = *std::min_element(ranks.begin(), ranks.end(), [&](Rank a, Rank b) {
            return chosen[index(a)] < chosen[index(b)];
        });
        ++chosen[index(best)];
        return best;
    }

    std::vector<Amounts> totals;
    std::vector<Node> nodes;
    std::vector<std::uint64_t> chosen;
};

const auto all = [](std::uint32_t) { return true; };

/// Both, of a job of random ranks in classes side by side or mixed.
struct Both {
    explicit Both(std::mt19937& random) : ranks(static_cast<std::uint32_t>(1 + random() % 20)) {
        const std::array totals{Amounts(4, 0), Amounts(4, 2), Amounts(8, 0),
                                Amounts(4, 0, {{"disk", 1}})};
        const bool in_blocks = random() % 2 == 0;
        for (std::uint32_t i = 0; i < ranks; ++i) {
            const Amounts& total = totals.at((in_blocks ? i / 5 : random()) % totals.size());
            const Node node{static_cast<std::uint32_t>(in_blocks ? i / 3 : random() % 4)};
            choice.join(total, node);
            plain.join(total, node);
        }
    }
    /// One decision, or one of the caller's own.
    void decide(std::mt19937& random, const Amounts& demand, const std::vector<Rank>& fitting,
                std::uint64_t turn) {
        if (random() % 6 == 0) {
            const Rank rank{static_cast<std::uint32_t>(random() % ranks)};
            choice.chose(rank);
            ++plain.chosen[index(rank)];
        }
        if (fitting.empty()) return;
        switch (random() % 4) {
            case 0: {
                const Rank next = choice.in_turn(demand, turn);
                ASSERT_TRUE(fits(plain.totals[index(next)], demand));
                ++plain.chosen[index(next)];
                break;
            }
            case 1:
                ASSERT_EQ(choice.first(demand), fitting.front());
                ++plain.chosen[index(fitting.front())];
                break;
            default: ASSERT_EQ(choice.least(demand), plain.least(fitting));
        }
    }

    std::uint32_t ranks;
    Choice choice;
    PlainChoice plain;
};

TEST(choice, is_the_rank_that_was_chosen_least) {
    const std::array demands{nothing,       one_cpu,       one_gpu,
                             Amounts(6, 0), Amounts(2, 2), Amounts(1, 0, {{"disk", 1}})};
    for (unsigned seed = 0; seed < 100; ++seed) {
        std::mt19937 random(seed);
        Both both(random);
        ASSERT_EQ(both.choice.totals(), both.plain.totals);
        for (std::uint32_t step = 0; step < 1000; ++step) {
            const Amounts& demand = demands.at(random() % demands.size());
            const std::vector<Rank> fitting = both.plain.fitting(demand, all);
            ASSERT_EQ(both.choice.fits_anywhere(demand), !fitting.empty());
            const Rank rank{static_cast<std::uint32_t>(random() % both.ranks)};
            ASSERT_EQ(both.choice.fits(rank, demand), fits(both.plain.totals[index(rank)], demand));
            both.decide(random, demand, fitting, step);
            const Node node{static_cast<std::uint32_t>(random() % 5)};
            const std::vector<Rank> there = both.plain.fitting(
                demand, [&](std::uint32_t one) { return both.plain.nodes[one] == node; });
            ASSERT_EQ(both.choice.fits_on(node, demand), !there.empty());
            if (there.empty()) continue;
            ASSERT_EQ(both.choice.least_on(node, demand), both.plain.least(there));
        }
    }
}

TEST(choice, gives_each_rank_its_turn) {
    Choice choice;
    for (std::uint32_t i = 0; i < 6; ++i) choice.join(Amounts(4, i % 2), Node{i / 3});
    std::array<int, 6> turns{};
    for (std::uint64_t turn = 0; turn < 60; ++turn) {
        ++turns.at(index(choice.in_turn(turn < 30 ? one_cpu : one_gpu, turn)));
    }
    EXPECT_EQ(turns, (std::array<int, 6>{5, 15, 5, 15, 5, 15}));
}

TEST(choice, knows_the_ranks_of_a_node) {
    Choice choice;
    for (const std::uint32_t node : {0U, 1U, 0U, 0U}) choice.join(one_cpu, Node{node});
    EXPECT_EQ(choice.ranks_of(Node{0}), (std::vector<Rank>{Rank{0}, Rank{2}, Rank{3}}));
    EXPECT_EQ(choice.ranks_of(Node{1}), std::vector<Rank>{Rank{1}});
    EXPECT_TRUE(choice.ranks_of(Node{2}).empty());
    EXPECT_FALSE(choice.fits_on(Node{2}, nothing));
}

TEST(choice, takes_ranks_in_that_come_later) {
    Choice choice;
    choice.join(one_cpu, Node{0});
    for (int i = 0; i < 100; ++i) EXPECT_EQ(choice.least(one_cpu), Rank{0});
    choice.join(one_cpu, Node{1});
    choice.join(one_gpu, Node{1});
    std::array<int, 3> times{};
    for (int i = 0; i < 30; ++i) ++times.at(index(choice.least(one_cpu)));
    EXPECT_EQ(times, (std::array<int, 3>{10, 10, 10})) << "newcomers get everything, or nothing";
}

TEST(choice, looks_at_no_more_in_a_larger_job) {
    const auto cost = [](std::uint32_t ranks) {
        Choice choice;
        for (std::uint32_t i = 0; i < ranks; ++i) choice.join(Amounts(4, 0), Node{i / 2});
        for (std::uint64_t round = 0; round < 300; ++round) {
            EXPECT_TRUE(choice.fits_anywhere(one_cpu));
            static_cast<void>(choice.least(one_cpu));
            choice.chose(Rank{3});
            static_cast<void>(choice.least_on(Node{2}, one_cpu));
            EXPECT_EQ(choice.first(one_cpu), Rank{0});
            static_cast<void>(choice.in_turn(one_cpu, round % 4));
        }
        return std::pair(choice.looked_at(), choice.counted());
    };
    const auto [few_looks, few_counted] = cost(10);
    const auto [many_looks, many_counted] = cost(10'000);
    EXPECT_LE(many_looks, few_looks);
    EXPECT_EQ(many_counted, few_counted);
}

}  // namespace
}  // namespace mobula::scheduler
