// SPDX-License-Identifier: Apache-2.0

// Goal: a rank gets as much work ahead as its tasks' run times say, no count goes wrong, and work
// is asked back from the longest queue only, or from a rank that does not get to it. Method: single
// cases, every order of a few legal events, then long random sequences of them, against plain
// counts and against ranks that are played in full: when they all stop, nothing may stay unbegun.

#include "scheduler/loads.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace mobula::scheduler {
namespace {

constexpr std::uint64_t window_ns = 1'000'000;
constexpr std::uint64_t patience_ns = 2'000'000;
constexpr Rank self{0}, other{1}, third{2};
using Asked = Loads::Asked;
using Bound = Loads::Bound;

/// Of a job with so many workers on its ranks.
Loads loads_of(const std::vector<unsigned>& workers) {
    return {self, static_cast<std::uint32_t>(workers.size()),
            [workers](Rank rank) { return workers[index(rank)]; }, window_ns, patience_ns};
}

/// Sends while there is room; how many that were.
std::uint32_t fill(Loads& loads, Rank rank) {
    std::uint32_t sent = 0;
    for (; loads.room(rank); ++sent) loads.sent(rank);
    return sent;
}

TEST(loads, have_no_room_here_and_little_where_nothing_is_known) {
    Loads loads = loads_of({1, 2});
    EXPECT_FALSE(loads.room(self));
    EXPECT_EQ(fill(loads, other), 2 * Loads::ahead_unknown);
}

TEST(loads, windows_follow_the_run_time) {
    Loads loads = loads_of({1, 1});
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
    Loads loads = loads_of({1, 1, 1});
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
    Loads loads = loads_of({1, 1, 1});
    loads.lost(other);
    EXPECT_FALSE(loads.room(other));
    for (int i = 0; i < 4; ++i) EXPECT_EQ(loads.next_with_room(), third);
    EXPECT_EQ(loads.room_for(100), Loads::ahead_unknown);
}

TEST(loads, want_more_at_half) {
    Loads loads = loads_of({1, 1});
    EXPECT_EQ(fill(loads, other), 4U);
    EXPECT_FALSE(loads.wants_more(other));
    loads.returned(other);
    EXPECT_FALSE(loads.wants_more(other));
    loads.returned(other);
    EXPECT_TRUE(loads.wants_more(other));
}

TEST(loads, recall_from_the_longest_queue_once) {
    Loads loads = loads_of({1, 1, 1});
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
    loads.answered(third, 4, 0, 0);
    EXPECT_EQ(loads.recall()->from, third);
}

TEST(loads, do_not_recall_what_must_stay) {
    using enum Loads::Bound;
    Loads loads = loads_of({1, 1});
    for (int i = 0; i < 9; ++i) loads.sent(other, yes);
    EXPECT_FALSE(loads.recall().has_value());
    for (int i = 0; i < 3; ++i) loads.sent(other, no);
    EXPECT_EQ(loads.recall()->count, 1U);
    loads.answered(other, 1, 0, 0);
    while (loads.sent_to(other) > 3) loads.done(other, 1000000, yes);
    EXPECT_EQ(loads.recall()->count, 1U);
    loads.answered(other, 1, 0, 0);
    while (loads.sent_to(other) > 0) loads.returned(other, no);
    EXPECT_FALSE(loads.recall().has_value());
}

TEST(loads, do_not_recall_what_is_soon_done) {
    Loads loads = loads_of({1, 1});
    loads.sent(other);
    loads.done(other, 1000);
    for (int i = 0; i < 100; ++i) loads.sent(other);  // about a tenth of the window
    EXPECT_FALSE(loads.recall().has_value());
}

TEST(loads, count_right_in_long_random_sequences) {
    for (unsigned seed = 0; seed < 50; ++seed) {
        std::mt19937 random(seed);
        constexpr std::size_t ranks = 5;
        Loads loads = loads_of({1, 2, 3, 4, 0});
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
                        loads.answered(recall->from, 0, 0, 0);
                    }
            }
            ASSERT_EQ(loads.sent_to(rank), sent[at]);
            ASSERT_LE(sent[at], Loads::ahead_max);
        }
    }
}

TEST(loads, take_back_what_a_silent_rank_does_not_get_to) {
    Loads loads = loads_of({1, 1, 1});
    for (int i = 0; i < 3; ++i) loads.sent(other);
    loads.look(0, 0);
    EXPECT_FALSE(loads.recall_stuck().has_value()) << "it was only sent";
    loads.look(patience_ns - 1, 0);
    EXPECT_FALSE(loads.recall_stuck().has_value()) << "the moment is not over";
    loads.look(patience_ns, 0);
    const auto recall = loads.recall_stuck();
    ASSERT_TRUE(recall.has_value());
    EXPECT_EQ(recall->from, other);
    EXPECT_EQ(recall->count, 1U) << "one can begin on the third rank";
    EXPECT_EQ(recall->how, Asked::stuck);
    EXPECT_FALSE(loads.recall_stuck().has_value()) << "asked twice";
    EXPECT_FALSE(loads.room(other)) << "a stuck rank gets more";
    loads.returned(other);
    loads.answered(other, 1, 0, 0);
    EXPECT_FALSE(loads.room(other)) << "a busy rank gets more";
    loads.opened(other);
    EXPECT_TRUE(loads.room(other)) << "a rank that has room gets nothing";
}

TEST(loads, leave_a_rank_alone_that_goes_on) {
    Loads loads = loads_of({1, 1, 1});
    for (int i = 0; i < 4; ++i) loads.sent(other);
    for (int look = 1; look <= 3; ++look) {
        loads.look(static_cast<std::uint64_t>(look) * patience_ns, 1);
        EXPECT_FALSE(loads.recall_stuck().has_value());
        loads.done(other, 1000);
    }
}

TEST(loads, ask_nobody_when_nobody_idles) {
    Loads loads = loads_of({1, 1, 1});
    for (const Rank rank : {other, third}) {
        for (int i = 0; i < 2; ++i) loads.sent(rank);
    }
    loads.look(0, 0);
    loads.look(patience_ns, 0);
    EXPECT_FALSE(loads.recall_stuck().has_value());
    loads.look(2 * patience_ns, 1);
    EXPECT_EQ(loads.recall_stuck()->count, 1U) << "this rank idles";
    EXPECT_FALSE(loads.recall_stuck().has_value()) << "more is asked for than can begin";
}

TEST(loads, ask_once_for_what_has_begun) {
    Loads loads = loads_of({1, 1});
    loads.sent(other);
    loads.look(0, 1);
    loads.look(patience_ns, 1);
    ASSERT_TRUE(loads.recall_stuck().has_value());
    loads.answered(other, 0, 0, 0);
    EXPECT_FALSE(loads.anything_waits());
    for (std::uint64_t look = 2; look < 9; ++look) {
        loads.look(look * patience_ns, 1);
        EXPECT_FALSE(loads.recall_stuck().has_value());
    }
    loads.sent(other);
    EXPECT_TRUE(loads.anything_waits()) << "the next one is forgotten";
}

TEST(loads, ask_again_for_what_was_not_ready) {
    Loads loads = loads_of({1, 1});
    for (int i = 0; i < 2; ++i) loads.sent(other);
    loads.look(0, 2);
    loads.look(patience_ns, 2);
    ASSERT_TRUE(loads.recall_stuck().has_value());
    loads.answered(other, 0, 1, 0);  // one has begun, the inputs of the other are on their way
    loads.look(2 * patience_ns, 2);
    loads.look(3 * patience_ns, 2);
    EXPECT_EQ(loads.recall_stuck()->count, 1U);
}

TEST(loads, leave_tasks_near_their_bytes_for_longer) {
    Loads loads = loads_of({1, 1});
    loads.sent(other, Bound::near);
    loads.sent(other, Bound::yes);
    loads.look(0, 1);
    loads.look(patience_ns, 1);
    EXPECT_FALSE(loads.recall_stuck().has_value());
    loads.look(Loads::near_patience_ns, 1);
    const auto recall = loads.recall_stuck();
    ASSERT_TRUE(recall.has_value());
    EXPECT_EQ(recall->count, 1U);
    EXPECT_EQ(recall->how, Asked::near);
    loads.returned(other, Bound::near);
    loads.answered(other, 1, 0, 0);
    EXPECT_FALSE(loads.anything_waits()) << "what must stay is waited for";
}

// ---- every order ----

/// A rank as it really is: what it has not begun, what it runs, and what it was asked. Tasks that
/// were sent after a question arrive after it, and so are not given back by its answer.
struct Played {
    std::uint32_t unbegun = 0, late = 0, running = 0;
    std::optional<Loads::Recall> question;
    bool told_full = false;  ///< and so tells when it has room
    [[nodiscard]] std::uint32_t tasks() const { return unbegun + late + running; }
};

/// Loads of three ranks, and the ranks.
struct World {
    Loads loads{self, 3, [](Rank) { return 1U; }, window_ns, patience_ns};
    std::array<Played, 3> ranks;
    std::uint64_t now = 0;
    std::uint32_t here = 0;  ///< tasks that came back

    Played& at(Rank rank) { return ranks[index(rank)]; }
    void send(Rank rank) {
        loads.sent(rank);
        ++(at(rank).question ? at(rank).late : at(rank).unbegun);
    }
    void begin(Rank rank) {
        --at(rank).unbegun;
        ++at(rank).running;
    }
    void end(Rank rank, std::uint32_t ns) {
        loads.done(rank, ns);
        --at(rank).running;
    }
    void answer(Rank rank) {
        Played& there = at(rank);
        const std::uint32_t count = std::min(there.question->count, there.unbegun);
        for (std::uint32_t i = 0; i < count; ++i) loads.returned(rank);
        there.unbegun -= count;
        here += count;
        const std::uint32_t idle = there.tasks() == 0 ? 1 : 0;
        loads.answered(rank, count, 0, idle);
        if (idle == 0 && there.question->how == Asked::stuck) there.told_full = true;
        there.unbegun += std::exchange(there.late, 0);
        there.question.reset();
    }
    void say_room(Rank rank) {
        at(rank).told_full = false;
        loads.opened(rank);
    }
    void look(std::uint32_t idle_here) {
        now += patience_ns;
        loads.look(now, idle_here);
    }
    /// What is asked is legal.
    std::string ask(const std::optional<Loads::Recall>& recall) {
        if (!recall) return "";
        Played& there = at(recall->from);
        if (there.question) return "asked twice";
        if (recall->count == 0 || recall->count > there.tasks()) return "asked for the impossible";
        there.question = recall;
        return "";
    }
};

std::string complaint(World world) {
    bool any_room = false;
    for (const Rank rank : {other, third}) {
        const Played& there = world.at(rank);
        if (world.loads.sent_to(rank) != there.tasks()) return "the count is wrong";
        if (there.tasks() > Loads::ahead_max) return "a queue has no bound";
        const bool room = world.loads.room(rank);
        // One that said it is full, or was asked whether it is, will say when it is not.
        const bool will_tell = there.question || there.told_full || there.running != 0;
        if (there.tasks() == 0 && !room && !will_tell) return "an idle rank gets none for ever";
        if (world.loads.wants_more(rank) && !room) return "more is wanted than there is room for";
        any_room = any_room || room;
    }
    const auto next = world.loads.next_with_room();
    if (next.has_value() != any_room) return "room is there and not found, or the other way round";
    if (next && !world.loads.room(*next)) return "a rank without room is in turn";
    // All ranks but this one stop for ever: what they have not begun comes back.
    const auto unbegun = [&] {
        return world.at(other).unbegun + world.at(third).unbegun + world.at(other).late +
               world.at(third).late;
    };
    for (int round = 0; round < 6 && unbegun() != 0; ++round) {
        for (const Rank rank : {other, third}) {
            if (world.at(rank).question) world.answer(rank);
        }
        world.look(100);
        while (const auto recall = world.loads.recall_stuck()) {
            if (const std::string what = world.ask(recall); !what.empty()) return what;
        }
    }
    return unbegun() == 0 ? "" : "what has not begun stays behind what never ends";
}

void every_order(const World& now, int events, std::size_t& seen) {
    ASSERT_EQ(complaint(now), "");
    ++seen;
    if (events == 0) return;
    const auto go = [&](auto&& event) {
        if (testing::Test::HasFatalFailure()) return;
        World next = now;
        event(next);
        every_order(next, events - 1, seen);
    };
    for (const Rank rank : {other, third}) {
        const Played& there = now.ranks[index(rank)];
        if (now.loads.room(rank)) go([&](World& next) { next.send(rank); });
        if (there.unbegun > 0) go([&](World& next) { next.begin(rank); });
        if (there.running > 0) {
            for (const std::uint32_t ns : {0U, 4'000'000'000U}) {
                go([&](World& next) { next.end(rank, ns); });
            }
        }
        if (there.question) go([&](World& next) { next.answer(rank); });
        if (there.told_full && there.tasks() == 0) go([&](World& next) { next.say_room(rank); });
    }
    go([&](World& next) { EXPECT_EQ(next.ask(next.loads.recall()), ""); });
    for (const std::uint32_t idle_here : {0U, 2U}) {
        go([&](World& next) {
            next.look(idle_here);
            while (const auto recall = next.loads.recall_stuck()) {
                EXPECT_EQ(next.ask(recall), "");
            }
        });
    }
}

TEST(loads, leave_nothing_behind_in_every_order) {
    std::size_t seen = 0;
    every_order({}, MOBULA_EVENTS_IN_EVERY_ORDER, seen);
    EXPECT_GT(seen, MOBULA_EVENTS_IN_EVERY_ORDER < 8 ? 5'000U : 100'000U);
}

TEST(loads, leave_nothing_behind_in_long_random_orders) {
    for (unsigned seed = 0; seed < 100; ++seed) {
        std::mt19937 random(seed);
        World world;
        for (int step = 0; step < 2000; ++step) {
            const Rank rank = random() % 2 == 0 ? other : third;
            Played& there = world.at(rank);
            switch (random() % 8) {
                case 0:
                case 1:
                case 2:
                    if (world.loads.room(rank)) world.send(rank);
                    break;
                case 3:
                    if (there.unbegun > 0) world.begin(rank);
                    break;
                case 4:
                    if (there.running > 0) world.end(rank, static_cast<std::uint32_t>(random()));
                    break;
                case 5:
                    if (there.question) world.answer(rank);
                    if (there.told_full && there.tasks() == 0) world.say_room(rank);
                    break;
                case 6: ASSERT_EQ(world.ask(world.loads.recall()), ""); break;
                default:
                    world.look(static_cast<std::uint32_t>(random() % 3));
                    while (const auto recall = world.loads.recall_stuck()) {
                        ASSERT_EQ(world.ask(recall), "");
                    }
            }
            ASSERT_EQ(complaint(world), "") << "seed " << seed << ", step " << step;
        }
    }
}

}  // namespace
}  // namespace mobula::scheduler
