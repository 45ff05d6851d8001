// SPDX-License-Identifier: Apache-2.0

// Goal: a rank gets as much work ahead as its tasks' run times say, no count goes wrong, and work
// is asked back from the longest queue only. Method: single cases, every order of a few legal
// events, then long random sequences of them, against plain counts.

#include "scheduler/loads.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>
#include <vector>

namespace mobula::scheduler {
namespace {

constexpr std::uint64_t window_ns = 1'000'000;
constexpr Rank self{0}, other{1}, third{2};

/// Sends while there is room; how many that were.
std::uint32_t fill(Loads& loads, Rank rank) {
    std::uint32_t sent = 0;
    for (; loads.room(rank); ++sent) loads.sent(rank);
    return sent;
}

TEST(loads, have_no_room_here_and_little_where_nothing_is_known) {
    Loads loads(self, {1, 2}, window_ns);
    EXPECT_FALSE(loads.room(self));
    EXPECT_EQ(fill(loads, other), 2 * Loads::ahead_unknown);
}

TEST(loads, windows_follow_the_run_time) {
    Loads loads(self, {1, 1}, window_ns);
    const auto run = [&](std::uint32_t ns) {
        for (int i = 0; i < 300; ++i) {
            loads.sent(other);
            loads.done(other, ns);
        }
    };
    run(10'000);
    EXPECT_NEAR(fill(loads, other), 100, 2);
    while (loads.sent_to(other) > 0) loads.returned(other);
    run(1);
    EXPECT_EQ(fill(loads, other), Loads::ahead_max);
    while (loads.sent_to(other) > 0) loads.returned(other);
    run(4'000'000'000);
    EXPECT_EQ(fill(loads, other), 2U);  // one more than it has workers
    while (loads.sent_to(other) > 0) loads.returned(other);
    run(0);
    EXPECT_GT(fill(loads, other), 1000U);
}

TEST(loads, take_turns) {
    Loads loads(self, {1, 1, 1}, window_ns);
    EXPECT_EQ(loads.next_with_room(), other);
    EXPECT_EQ(loads.next_with_room(), third);
    EXPECT_EQ(loads.next_with_room(), other);
    fill(loads, other);
    EXPECT_EQ(loads.next_with_room(), third);
    EXPECT_EQ(loads.next_with_room(), third);
    fill(loads, third);
    EXPECT_EQ(loads.next_with_room(), std::nullopt);
}

TEST(loads, leave_out_the_lost) {
    Loads loads(self, {1, 1, 1}, window_ns);
    loads.lost(other);
    EXPECT_FALSE(loads.room(other));
    for (int i = 0; i < 4; ++i) {
        EXPECT_EQ(loads.next_with_room(), third);
        EXPECT_NE(loads.next_in_turn(), other);
    }
}

TEST(loads, want_more_at_half) {
    Loads loads(self, {1, 1}, window_ns);
    EXPECT_EQ(fill(loads, other), 4U);
    EXPECT_FALSE(loads.wants_more(other));
    loads.returned(other);
    EXPECT_FALSE(loads.wants_more(other));
    loads.returned(other);
    EXPECT_TRUE(loads.wants_more(other));
}

TEST(loads, recall_from_the_longest_queue_once) {
    Loads loads(self, {1, 1, 1}, window_ns);
    EXPECT_FALSE(loads.recall().has_value());
    for (int i = 0; i < 3; ++i) loads.sent(other);
    for (int i = 0; i < 9; ++i) loads.sent(third);
    const auto first = loads.recall();
    ASSERT_TRUE(first.has_value());
    EXPECT_EQ(first->from, third);
    EXPECT_EQ(first->count, 4U);  // half of those that have not begun
    const auto second = loads.recall();
    ASSERT_TRUE(second.has_value());
    EXPECT_EQ(second->from, other);
    EXPECT_FALSE(loads.recall().has_value());
    loads.recalled(third);
    EXPECT_EQ(loads.recall()->from, third);
}

TEST(loads, do_not_recall_what_must_stay) {
    using enum Loads::Bound;
    Loads loads(self, {1, 1}, window_ns);
    for (int i = 0; i < 9; ++i) loads.sent(other, yes);
    EXPECT_FALSE(loads.recall().has_value());
    for (int i = 0; i < 3; ++i) loads.sent(other, no);
    EXPECT_EQ(loads.recall()->count, 1U);
    loads.recalled(other);
    while (loads.sent_to(other) > 3) loads.done(other, 1000000, yes);
    EXPECT_EQ(loads.recall()->count, 1U);
    loads.recalled(other);
    while (loads.sent_to(other) > 0) loads.returned(other, no);
    EXPECT_FALSE(loads.recall().has_value());
}

TEST(loads, do_not_recall_what_is_soon_done) {
    Loads loads(self, {1, 1}, window_ns);
    loads.sent(other);
    loads.done(other, 1000);
    for (int i = 0; i < 100; ++i) loads.sent(other);  // about a tenth of the window
    EXPECT_FALSE(loads.recall().has_value());
}

TEST(loads, count_right_in_long_random_sequences) {
    for (unsigned seed = 0; seed < 50; ++seed) {
        std::mt19937 random(seed);
        constexpr std::size_t ranks = 5;
        Loads loads(self, {1, 2, 3, 4, 0}, window_ns);
        std::vector<std::uint32_t> sent(ranks, 0);
        for (int step = 0; step < 20000; ++step) {
            const std::size_t at = 1 + random() % (ranks - 1);
            const auto rank = static_cast<Rank>(at);
            switch (random() % 4) {
                case 0:
                case 1:
                    if (loads.room(rank)) {
                        loads.sent(rank);
                        ++sent[at];
                    }
                    break;
                case 2:
                    if (sent[at] == 0) break;
                    --sent[at];
                    if (random() % 4 == 0) {
                        loads.returned(rank);
                    } else {
                        loads.done(rank, static_cast<std::uint32_t>(random()));
                    }
                    break;
                default:
                    if (const auto recall = loads.recall()) {
                        ASSERT_LE(recall->count, sent[index(recall->from)]);
                        ASSERT_GT(recall->count, 0U);
                        loads.recalled(recall->from);
                    }
            }
            ASSERT_EQ(loads.sent_to(rank), sent[at]);
            ASSERT_LE(sent[at], Loads::ahead_max);
        }
    }
}

/// Loads of three ranks and, counted apart, what they must say.
struct Counted {
    Loads loads{self, {1, 1, 1}, window_ns};
    std::array<std::uint32_t, 3> sent{};
    std::array<bool, 3> lost{}, recalling{};
};

std::string complaint(Counted counted) {
    bool any_room = false;
    for (const Rank rank : {other, third}) {
        const std::size_t at = index(rank);
        if (counted.loads.sent_to(rank) != counted.sent[at]) return "the count is wrong";
        if (counted.sent[at] > Loads::ahead_max) return "a queue has no bound";
        const bool room = counted.loads.room(rank);
        if (room && counted.lost[at]) return "the dead get work";
        if (counted.sent[at] == 0 && !room && !counted.lost[at]) return "an idle rank gets none";
        if (counted.loads.wants_more(rank) && !room) return "more is wanted than there is room for";
        any_room = any_room || room;
    }
    const auto next = counted.loads.next_with_room();
    if (next.has_value() != any_room) return "room is there and not found, or the other way round";
    if (next && !counted.loads.room(*next)) return "a rank without room is in turn";
    return "";
}

void every_order(const Counted& now, int events, std::size_t& seen) {
    ASSERT_EQ(complaint(now), "");
    ++seen;
    if (events == 0) return;
    const auto go = [&](auto&& event) {
        if (testing::Test::HasFatalFailure()) return;
        Counted next = now;
        event(next);
        every_order(next, events - 1, seen);
    };
    for (const Rank rank : {other, third}) {
        const std::size_t at = index(rank);
        if (now.loads.room(rank)) {
            go([&](Counted& next) {
                next.loads.sent(rank);
                ++next.sent[at];
            });
        }
        if (now.sent[at] > 0) {
            for (const std::uint32_t ns : {0U, 100'000U, 4'000'000'000U}) {
                go([&](Counted& next) {
                    next.loads.done(rank, ns);
                    --next.sent[at];
                });
            }
            go([&](Counted& next) {
                next.loads.returned(rank);
                --next.sent[at];
            });
        }
        if (now.recalling[at]) {
            go([&](Counted& next) {
                next.loads.recalled(rank);
                next.recalling[at] = false;
            });
        }
        if (!now.lost[at]) {
            go([&](Counted& next) {
                next.loads.lost(rank);
                next.lost[at] = true;
            });
        }
    }
    go([&](Counted& next) {
        const auto recall = next.loads.recall();
        if (!recall) return;
        const std::size_t at = index(recall->from);
        EXPECT_FALSE(next.recalling[at]) << "asked twice";
        EXPECT_GT(recall->count, 0U);
        EXPECT_LT(recall->count, next.sent[at]) << "one is running";
        next.recalling[at] = true;
    });
}

TEST(loads, count_right_in_every_order) {
    std::size_t seen = 0;
    every_order({}, 6, seen);
    EXPECT_GT(seen, 10'000U);
}

}  // namespace
}  // namespace mobula::scheduler
