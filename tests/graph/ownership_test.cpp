// SPDX-License-Identifier: Apache-2.0

// Goal: an object is never freed while a rank holds it or a reference is on its way, no message
// ever reaches an owner for an object that is gone, and in the end the object is freed.
// Method: a model of a few ranks with a FIFO channel between each pair, which follows the rules of
// the exchange (grant before send, release gives all grants back) and counts with the owner's
// Holders. Small cases go through every interleaving, with states seen before left out; large ones
// through random interleavings.

#include "graph/ownership.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <unordered_set>
#include <vector>

namespace mobula::graph {
namespace {

constexpr std::size_t owner = 0;

struct Message {
    enum class Kind : std::uint8_t { reference, grant, release } kind;
    std::uint8_t value = 0;  // the rank of a grant, the grants of a release
};

/// One object and all that is known of it anywhere.
struct Model {
    struct Holder {
        bool holds = false;
        std::uint8_t grants = 0;
    };

    Model(std::size_t ranks, int hand_offs)
        : holders(ranks), channels(ranks * ranks), counts(ranks, 0), hand_offs_left(hand_offs) {
        holders[owner].holds = true;
    }

    std::vector<Holder> holders;
    std::vector<std::deque<Message>> channels;  // [from * ranks + to]
    Holders counted;
    std::vector<int> counts;  // what `counted` must hold, kept apart for the states' names
    int hand_offs_left;
    bool freed = false;
    std::string broken;

    [[nodiscard]] std::size_t ranks() const { return holders.size(); }
    std::deque<Message>& channel(std::size_t from, std::size_t to) {
        return channels[from * ranks() + to];
    }
    [[nodiscard]] bool quiet() const {
        for (const auto& each : channels) {
            if (!each.empty()) return false;
        }
        return true;
    }
    [[nodiscard]] bool held_elsewhere() const {
        for (std::size_t r = 1; r < ranks(); ++r) {
            if (holders[r].holds) return true;
        }
        return false;
    }

    void hand_off(std::size_t from, std::size_t to) {
        --hand_offs_left;
        if (from == owner) {
            grant(to);
        } else if (to != owner) {
            channel(from, owner).push_back({Message::Kind::grant, static_cast<std::uint8_t>(to)});
        }
        channel(from, to).push_back({Message::Kind::reference});
    }
    void let_go(std::size_t rank) {
        Holder& holder = holders[rank];
        holder.holds = false;
        if (rank != owner) {
            channel(rank, owner).push_back({Message::Kind::release, holder.grants});
            holder.grants = 0;
        }
        free_if_unheld();
    }
    void deliver(std::size_t from, std::size_t to) {
        const Message message = channel(from, to).front();
        channel(from, to).pop_front();
        if (to == owner && freed) broken = "the owner got a message for an object that is gone";
        switch (message.kind) {
            case Message::Kind::reference:
                holders[to].holds = true;
                if (to != owner) ++holders[to].grants;
                break;
            case Message::Kind::grant: grant(message.value); break;
            case Message::Kind::release:
                ASSERT_TRUE(counted.give_back(static_cast<Rank>(from), message.value));
                counts[from] -= message.value;
                break;
        }
        free_if_unheld();
    }

    /// Every step that may come next; each alternative is given to `go` on a copy.
    template <class Go>
    void for_each_step(Go&& go) const {
        const auto with = [&](auto&& step) {
            Model next = *this;
            step(next);
            go(next);
        };
        for (std::size_t from = 0; from < ranks(); ++from) {
            if (holders[from].holds) {
                with([&](Model& next) { next.let_go(from); });
                for (std::size_t to = 0; to < ranks() && hand_offs_left > 0; ++to) {
                    if (to != from) with([&](Model& next) { next.hand_off(from, to); });
                }
            }
            for (std::size_t to = 0; to < ranks(); ++to) {
                if (!channels[from * ranks() + to].empty()) {
                    with([&](Model& next) { next.deliver(from, to); });
                }
            }
        }
    }

    /// Equal names, equal futures.
    [[nodiscard]] std::string name() const {
        std::string text{static_cast<char>(hand_offs_left), freed ? 'f' : 'a'};
        for (std::size_t r = 0; r < ranks(); ++r) {
            text += {holders[r].holds ? 'h' : '-', static_cast<char>(holders[r].grants),
                     static_cast<char>(counts[r])};
        }
        for (const auto& each : channels) {
            text += '|';
            for (const Message& m : each) {
                text += {static_cast<char>(m.kind), static_cast<char>(m.value)};
            }
        }
        return text;
    }

private:
    void grant(std::size_t to) {
        counted.grant(static_cast<Rank>(to));
        ++counts[to];
    }
    void free_if_unheld() {
        bool any = false;
        for (const int count : counts) any = any || count != 0;
        if (any != counted.held()) broken = "the holders were counted wrongly";
        if (freed || holders[owner].holds || counted.held()) return;
        freed = true;
        if (held_elsewhere()) broken = "the object was freed while a rank held it";
        if (!quiet()) broken = "the object was freed while a message of it was on its way";
    }
};

/// Goes through all states that can be reached; how many there are.
std::size_t explore(const Model& start) {
    std::unordered_set<std::string> seen{start.name()};
    std::vector<Model> open{start};
    while (!open.empty()) {
        const Model model = std::move(open.back());
        open.pop_back();
        bool end = true;
        model.for_each_step([&](const Model& next) {
            end = false;
            if (!next.broken.empty()) {
                ADD_FAILURE() << next.broken;
                open.clear();
                return;
            }
            if (seen.insert(next.name()).second) open.push_back(next);
        });
        if (testing::Test::HasFailure()) break;
        if (end && !model.freed) {
            ADD_FAILURE() << "nobody holds the object, nothing is on its way, and it is kept";
            break;
        }
    }
    return seen.size();
}

TEST(ownership, every_interleaving_of_two_ranks) { EXPECT_GT(explore(Model(2, 8)), 1000U); }

TEST(ownership, every_interleaving_of_three_ranks) { EXPECT_GT(explore(Model(3, 4)), 3000U); }

TEST(ownership, every_interleaving_of_four_ranks) { EXPECT_GT(explore(Model(4, 3)), 3000U); }

TEST(ownership, long_random_interleavings_of_six_ranks) {
    constexpr std::size_t ranks = 6;
    for (unsigned seed = 0; seed < 200; ++seed) {
        std::mt19937 random(seed);
        Model model(ranks, 100);
        const auto pick = [&](std::size_t below) { return random() % below; };
        // Senders are preferred to those who let go, so that references pile up.
        for (int step = 0; step < 100000 && !model.freed; ++step) {
            const std::size_t from = pick(ranks), to = pick(ranks);
            if (from == to) continue;
            const auto what = pick(8);
            if (what < 4) {
                if (!model.channel(from, to).empty()) model.deliver(from, to);
            } else if (what < 7) {
                if (model.holders[from].holds && model.hand_offs_left > 0) model.hand_off(from, to);
            } else if (model.holders[from].holds) {
                model.let_go(from);
            }
            ASSERT_EQ(model.broken, "") << "seed " << seed;
        }
        EXPECT_TRUE(model.freed) << "seed " << seed;
    }
}

TEST(ownership, a_count_below_zero_holds) {
    Holders holders;
    EXPECT_TRUE(holders.give_back(Rank{2}, 1));
    EXPECT_TRUE(holders.held());
    holders.grant(Rank{2});
    EXPECT_FALSE(holders.held());
}

/// Holders and plain counts, with the same events.
struct Counted {
    Holders holders;
    std::map<std::uint32_t, std::int64_t> counts;

    void change(std::uint32_t rank, std::int64_t by) {
        if (by > 0) holders.grant(Rank{rank}, by);
        if (by < 0) {
            EXPECT_TRUE(holders.give_back(Rank{rank}, -by));
        }
        counts[rank] += by;
        if (counts[rank] == 0) counts.erase(rank);
    }
    void strike(std::uint32_t rank) {
        holders.strike(Rank{rank});
        counts.erase(rank);
    }
};

TEST(ownership, many_holders_are_counted_as_few) {
    for (unsigned seed = 0; seed < 40; ++seed) {
        std::mt19937 random(seed);
        const std::uint32_t ranks = seed % 2 == 0 ? 12 : 1000;
        Counted counted;
        for (int step = 0; step < 5000; ++step) {
            const auto rank = static_cast<std::uint32_t>(random() % ranks);
            // For a while they come, for a while they go.
            const auto dice = random() % 16 + (step % 1000 < 500 ? 0 : 6);
            const auto holder = counted.counts.lower_bound(rank);
            if (dice == 21) {
                counted.strike(rank);
            } else if (dice < 12) {
                counted.change(rank, static_cast<std::int64_t>(1 + random() % 2));
            } else if (holder != counted.counts.end()) {
                counted.change(holder->first, -std::max<std::int64_t>(holder->second, 1));
            }
            ASSERT_EQ(counted.holders.ranks(), counted.counts.size());
            ASSERT_EQ(counted.holders.held(), !counted.counts.empty());
        }
        for (const auto& [rank, grants] : std::map(counted.counts)) counted.change(rank, -grants);
        EXPECT_FALSE(counted.holders.held());
    }
}

TEST(ownership, what_a_dead_rank_held_is_struck) {
    Holders holders;
    holders.grant(Rank{1}, 3);
    holders.grant(Rank{2});
    holders.strike(Rank{1});
    EXPECT_EQ(holders.ranks(), 1U);
    EXPECT_TRUE(holders.give_back(Rank{2}, 1));
    EXPECT_FALSE(holders.held());
    holders.strike(Rank{3});
    EXPECT_FALSE(holders.held());
}

}  // namespace
}  // namespace mobula::graph
