// SPDX-License-Identifier: Apache-2.0

// Goal: what a rank pays for its decisions goes with the ranks that it deals with, and they are the
// decisions that a look at every rank would give. Method: random events for Loads and for the plain
// model at once; then the same events in a job of 10 and of 10,000 ranks, with bytes and entries
// looked at counted, which must be the same or within a constant of what happened.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include "scheduler/loads.hpp"
#include "scheduler/plain_loads.hpp"

namespace mobula::scheduler {
namespace {

constexpr std::uint64_t window_ns = 1'000'000;
constexpr std::uint64_t patience_ns = 2'000'000;
using Asked = Loads::Asked;
using Bound = Loads::Bound;

Loads loads_of(std::uint32_t ranks, Rank self = Rank{0}) {
    return {self, ranks, [](Rank) { return 2U; }, window_ns, patience_ns};
}

/// Both, with what is legal to happen next.
class Pair {
public:
    Pair(Rank self, const std::vector<unsigned>& workers, unsigned seed)
        : self_(self),
          loads_(
              self, static_cast<std::uint32_t>(workers.size()),
              [workers](Rank rank) { return workers[index(rank)]; }, window_ns, patience_ns),
          plain_(self, workers, window_ns, patience_ns),
          sent_(workers.size()),
          waited_turns_(workers.size()),
          random_(seed) {}

    void step() {
        const auto at = below(sent_.size());
        const Rank rank{at};
        switch (below(12)) {
            case 0:
            case 1:
            case 2: return send_some(rank);
            case 3: return send_in_turn();
            case 4:
            case 5:
            case 6: return get_back(rank);
            case 7: return ask(loads_.recall(), plain_.recall());
            case 8: return look();
            case 9: return answer(rank);
            case 10: return open(rank);
            default:
                if (below(2000) == 0 && rank != self_) lose(rank);
        }
    }

    void compare() {
        for (std::uint32_t i = 0; i < sent_.size(); ++i) {
            const Rank rank{i};
            ASSERT_EQ(loads_.room(rank), plain_.room(rank));
            ASSERT_EQ(loads_.sent_to(rank), plain_.sent_to(rank));
            ASSERT_EQ(loads_.wants_more(rank), plain_.wants_more(rank));
            ASSERT_EQ(loads_.asked(rank), plain_.asked(rank));
        }
        ASSERT_EQ(loads_.room_for(1'000'000), plain_.room());
        ASSERT_EQ(loads_.room_for(7), std::min(7U, plain_.room()));
        ASSERT_EQ(loads_.anything_waits(), plain_.anything_waits());
    }

private:
    std::uint32_t below(std::size_t count) { return static_cast<std::uint32_t>(random_() % count); }

    void send(Rank rank, Bound bound) {
        loads_.sent(rank, bound);
        plain_.sent(rank, bound);
        ++sent_[index(rank)][static_cast<std::size_t>(bound)];
    }
    void send_some(Rank rank) {
        if (rank == self_) return;
        const auto bound = static_cast<Bound>(below(3));
        const std::uint32_t most = below(4) == 0 ? 20 : 2;
        for (std::uint32_t n = 0; n < most; ++n) {
            if (bound == Bound::yes || plain_.room(rank)) send(rank, bound);
        }
    }
    /// Each rank that has room all the time gets its turn.
    void send_in_turn() {
        const bool any = plain_.room() != 0;
        for (std::size_t i = 0; i < sent_.size(); ++i) {
            waited_turns_[i] =
                plain_.room(Rank{static_cast<std::uint32_t>(i)}) ? waited_turns_[i] + 1 : 0;
            ASSERT_LE(waited_turns_[i], 2 * sent_.size());
        }
        const std::optional<Rank> next = loads_.next_with_room();
        ASSERT_EQ(next.has_value(), any);
        if (!next) return;
        ASSERT_TRUE(plain_.room(*next));
        waited_turns_[index(*next)] = 0;
        send(*next, Bound::no);
    }
    void get_back(Rank rank) {
        const std::uint32_t most = below(4) == 0 ? 30 : 2;
        const auto ns = static_cast<std::uint32_t>(below(3) == 0 ? random_() : below(100'000));
        for (std::uint32_t n = 0; n < most; ++n) {
            const auto bound = static_cast<Bound>(below(3));
            std::uint32_t& left = sent_[index(rank)][static_cast<std::size_t>(bound)];
            if (left == 0) continue;
            --left;
            switch (below(8)) {
                case 0:
                    loads_.returned(rank, bound);
                    plain_.returned(rank, bound);
                    break;
                case 1:
                    plain_.failed(rank, bound);
                    EXPECT_EQ(loads_.failed(rank, bound), plain_.wants_more(rank));
                    break;
                default:
                    plain_.done(rank, ns, bound);
                    EXPECT_EQ(loads_.done(rank, ns, bound), plain_.wants_more(rank));
            }
        }
    }
    void ask(const std::optional<Loads::Recall>& a, const std::optional<Loads::Recall>& b) {
        ASSERT_EQ(a.has_value(), b.has_value());
        if (!a) return;
        ASSERT_EQ(a->from, b->from);
        ASSERT_EQ(a->count, b->count);
        ASSERT_EQ(a->how, b->how);
    }
    void look() {
        now_ += patience_ns / (1 + below(3));
        if (below(10) == 0) now_ += Loads::near_patience_ns;
        const std::uint32_t idle_here = below(3);
        loads_.look(now_, idle_here);
        plain_.look(now_, idle_here);
        for (bool more = true; more;) {
            const auto recall = loads_.recall_stuck();
            ask(recall, plain_.recall_stuck());
            more = recall.has_value() && !::testing::Test::HasFatalFailure();
        }
    }
    void answer(Rank rank) {
        if (plain_.asked(rank) == Asked::nothing) return;
        std::uint32_t& left = sent_[index(rank)][0];
        const std::uint32_t count = left == 0 ? 0 : below(left + 1);
        for (std::uint32_t n = 0; n < count; ++n, --left) {
            loads_.returned(rank);
            plain_.returned(rank);
        }
        const std::uint32_t unready = below(3);
        const std::uint32_t idle = below(2);
        loads_.answered(rank, count, unready, idle);
        plain_.answered(rank, count, unready, idle);
    }
    void open(Rank rank) {
        if (rank == self_) return;
        loads_.opened(rank);
        plain_.opened(rank);
    }
    void lose(Rank rank) {
        loads_.lost(rank);
        plain_.lost(rank);
    }

    Rank self_;
    Loads loads_;
    testing::PlainLoads plain_;
    std::vector<std::array<std::uint32_t, 3>> sent_;  ///< per rank and Bound
    std::vector<std::size_t> waited_turns_;
    std::uint64_t now_ = 0;
    std::mt19937 random_;
};

TEST(loads_scale, decide_as_if_they_looked_at_every_rank) {
    for (unsigned seed = 0; seed < 60; ++seed) {
        std::vector<unsigned> workers;
        for (unsigned i = 0; i < 2 + seed % 9; ++i) workers.push_back(1 + i % 3);
        const Rank self{seed % static_cast<unsigned>(workers.size())};
        Pair pair(self, workers, seed);
        for (int step = 0; step < 4000; ++step) {
            pair.step();
            pair.compare();
            if (HasFatalFailure()) FAIL() << "seed " << seed << ", step " << step;
        }
    }
}

TEST(loads_scale, begin_with_the_rank_behind_and_leave_nobody_out) {
    Loads loads = loads_of(5, Rank{2});
    for (const unsigned next : {3U, 4U, 0U, 1U, 3U, 4U, 0U}) {
        EXPECT_EQ(loads.next_with_room(), Rank{next});
        loads.sent(Rank{next});
    }
}

TEST(loads_scale, take_ranks_in_that_come_later) {
    Loads loads = loads_of(2);
    EXPECT_FALSE(loads.room(Rank{2}));
    EXPECT_EQ(loads.next_with_room(), Rank{1});
    EXPECT_EQ(loads.next_with_room(), Rank{1});
    EXPECT_EQ(loads.room_for(100), 2 * Loads::ahead_unknown);
    loads.join(4);
    EXPECT_EQ(loads.room_for(100), 3 * 2 * Loads::ahead_unknown);
    EXPECT_TRUE(loads.room(Rank{2}));
    EXPECT_EQ(loads.next_with_room(), Rank{2});
    EXPECT_EQ(loads.next_with_room(), Rank{3});
    EXPECT_EQ(loads.next_with_room(), Rank{1});
    loads.look(0, 0);
    loads.sent(Rank{1});
    loads.look(patience_ns, 0);
    loads.look(2 * patience_ns, 0);
    EXPECT_TRUE(loads.recall_stuck().has_value()) << "the new ranks are idle";
}

struct Cost {
    std::size_t bytes = 0, known = 0;
    std::uint64_t looked_at = 0;
};

/// A rank that deals with three others.
Cost deal_with_three(std::uint32_t ranks) {
    Loads loads = loads_of(ranks);
    for (std::uint64_t round = 0; round < 1000; ++round) {
        for (std::uint32_t i = 1; i <= 3; ++i) {
            for (int n = 0; n < 4; ++n) loads.sent(Rank{2 * i}, n < 3 ? Bound::no : Bound::yes);
        }
        std::vector<Loads::Recall> asked;
        while (const auto recall = loads.recall()) asked.push_back(*recall);
        EXPECT_EQ(loads.room_for(10), 10U);
        loads.look(round * patience_ns, 1);
        while (const auto recall = loads.recall_stuck()) asked.push_back(*recall);
        for (const Loads::Recall& recall : asked) loads.answered(recall.from, 0, 1, 0);
        static_cast<void>(loads.anything_waits());
        for (std::uint32_t i = 1; i <= 3; ++i) {
            for (int n = 0; n < 4; ++n) {
                loads.done(Rank{2 * i}, 100'000, n < 3 ? Bound::no : Bound::yes);
            }
            static_cast<void>(loads.wants_more(Rank{2 * i}));
        }
    }
    return {loads.bytes(), loads.known(), loads.looked_at()};
}

TEST(loads_scale, cost_the_same_however_many_ranks_there_are) {
    const Cost few = deal_with_three(10);
    const Cost many = deal_with_three(10'000);
    EXPECT_EQ(few.known, 3U);
    EXPECT_EQ(many.known, few.known);
    EXPECT_EQ(many.bytes, few.bytes);
    EXPECT_LT(many.bytes, 4096U);
    EXPECT_EQ(many.looked_at, few.looked_at);
}

/// So many entries does one call look at.
template <class Call>
std::uint64_t steps_of(Loads& loads, Call call) {
    const std::uint64_t before = loads.looked_at();
    call();
    return loads.looked_at() - before;
}

TEST(loads_scale, do_not_look_at_all_ranks_that_are_busy) {
    constexpr std::uint32_t ranks = 10'000;
    Loads loads = loads_of(ranks);
    constexpr std::uint32_t long_ns = 1'000'000'000;
    for (std::uint32_t i = 1; i < ranks; ++i) {
        loads.sent(Rank{i});
        loads.done(Rank{i}, long_ns);
    }
    while (const auto rank = loads.next_with_room()) loads.sent(*rank);
    ASSERT_EQ(loads.known(), ranks - 1);
    // Nobody has room: a task that is placed finds that out at once.
    EXPECT_LE(steps_of(loads, [&] { EXPECT_FALSE(loads.next_with_room().has_value()); }), 1U);
    EXPECT_EQ(steps_of(loads, [&] { EXPECT_EQ(loads.room_for(256), 0U); }), 0U);
    // Results come and tasks go, one at a time, and this rank idles between them.
    static_cast<void>(loads.anything_waits());
    std::uint64_t most = 0, sum = 0;
    for (std::uint32_t i = 1; i < ranks; ++i) {
        const std::uint64_t steps = steps_of(loads, [&] {
            loads.done(Rank{i}, long_ns);
            const auto next = loads.next_with_room();
            ASSERT_EQ(next, Rank{i});
            loads.sent(*next);
            static_cast<void>(loads.recall());
            static_cast<void>(loads.anything_waits());
        });
        most = std::max(most, steps);
        sum += steps;
    }
    EXPECT_LE(most, 40U);
    EXPECT_LE(sum, 10U * ranks);
}

TEST(loads_scale, do_not_pass_over_the_same_ranks_again) {
    // Ranks that were sent bound tasks have an entry before it is their turn.
    constexpr std::uint32_t ranks = 10'000;
    Loads loads = loads_of(ranks);
    for (std::uint32_t i = 1; i < ranks; ++i) loads.sent(Rank{i}, Bound::yes);
    const std::uint64_t steps = steps_of(loads, [&] {
        for (int turn = 0; turn < 1000; ++turn) static_cast<void>(loads.next_with_room());
    });
    EXPECT_LE(steps, ranks + 1000U);
}

TEST(loads_scale, keep_few_outdated_queues) {
    Loads loads = loads_of(10);
    std::size_t bytes = 0;
    for (int round = 0; round < 100'000; ++round) {
        // Its queue grows and shrinks, and this rank never idles.
        for (int n = 0; n < 6; ++n) loads.sent(Rank{1});
        static_cast<void>(loads.anything_waits());
        for (int n = 0; n < 6; ++n) loads.returned(Rank{1});
        static_cast<void>(loads.anything_waits());
        if (round == 1000) bytes = loads.bytes();
    }
    EXPECT_EQ(loads.bytes(), bytes);
}

}  // namespace
}  // namespace mobula::scheduler
