// SPDX-License-Identifier: Apache-2.0
/// Goal: whoever reads the waiting graph sees who can never go on, and why. Method: graphs of known
/// circles with their whole text; random graphs against a definition of a circle.
#include "runtime/stall.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include <mobula/error.hpp>

namespace mobula::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// Two actors that call each other from inside their methods.
std::vector<Waiting> two_actors() {
    return {
        {"driver", "driver", 0, "waits in get", 31, false, {{"a1", "Ping::hit"}}},
        {"a1", "Ping::hit", 0, "waits in get", 31, false, {{"b1", "Pong::hit"}}},
        {"b1", "Pong::hit", 1, "waits in get", 31, false, {{"a2", "Ping::hit"}}},
        {"a2", "Ping::hit", 0, "is queued behind", 30.6, false, {{"a1", "Ping::hit"}}},
        {"t", "simulate", 1, "runs", 2},
    };
}

TEST(Stall, MarksTheCircleOfTwoActors) {
    EXPECT_EQ(print_waiting(two_actors(), 30),
              "nothing has moved for 30 s; 5 wait or run\n"
              "  circle 1: these wait for each other and will never go on\n"
              "    Ping::hit on rank 0 waits in get (31 s)\n"
              "    -> Pong::hit on rank 1 waits in get (31 s)\n"
              "    -> Ping::hit on rank 0 is queued behind (31 s)\n"
              "    -> Ping::hit on rank 0, where the circle closes\n"
              "  these wait behind a circle\n"
              "    driver on rank 0 waits in get for Ping::hit (31 s)\n"
              "  these are in no circle\n"
              "    simulate on rank 1 runs (2 s)\n");
}

TEST(Stall, ATaskThatWaitsForItselfIsACircle) {
    const std::vector<Waiting> all{{"a", "snake", 2, "waits in get", 5, false, {{"a", "snake"}}}};
    EXPECT_THAT(find_circles(all), ElementsAre(ElementsAre(0)));
}

TEST(Stall, NobodyIsStuckWhoWaitsForWhatRuns) {
    const std::vector<Waiting> all{
        {"driver", "driver", 0, "waits in get", 40, false, {{"a", "slow"}, {"lost", "other"}}},
        {"a", "slow", 1, "runs", 40},
    };
    EXPECT_THAT(find_circles(all), IsEmpty());
    EXPECT_THAT(print_waiting(all, 40), Not(HasSubstr("wait behind a circle")));
    EXPECT_THAT(print_waiting(all, 40), HasSubstr("waits in get for slow, other (40 s)"));
}

TEST(Stall, WaitingForOneOfSeveralIsNoCircleWhileOneCanGoOn) {
    std::vector<Waiting> all{
        {"a", "chooser", 0, "waits", 9, true, {{"b", "loop"}, {"c", "work"}}},
        {"b", "loop", 0, "waits", 9, false, {{"a", "chooser"}}},
        {"c", "work", 0, "runs", 9},
    };
    EXPECT_THAT(find_circles(all), IsEmpty());
    EXPECT_THAT(print_waiting(all, 9), HasSubstr("chooser on rank 0 waits for one of loop, work"));
    all[2] = {"c", "work", 0, "waits", 9, false, {{"b", "loop"}}};
    EXPECT_THAT(find_circles(all), ElementsAre(ElementsAre(0, 1)));
}

TEST(Stall, EqualLinesAreOneAndThePrintIsBounded) {
    std::vector<Waiting> all;
    for (int i = 0; i < 10000; ++i) {
        all.push_back({"t" + std::to_string(i),
                       "fetch",
                       0,
                       "waits in get",
                       31 - i % 2 * 1.0,
                       false,
                       {{"x", "load"}, {"y", "load"}}});
    }
    EXPECT_THAT(
        print_waiting(all, 30),
        HasSubstr("    10000 times fetch on rank 0 waits in get for load (2 times) (31 s)"));
    for (int i = 0; i < 10000; ++i) all[std::size_t(i)].name += std::to_string(i);
    const std::string text = print_waiting(all, 30);
    EXPECT_THAT(text, HasSubstr("and 9900 more lines"));
    EXPECT_LT(text.size(), 10000U);
}

TEST(Stall, ALongCircleWithThousandsBehindItIsFoundQuickly) {
    std::vector<Waiting> all;
    const auto key = [](int i) { return "k" + std::to_string(i); };
    constexpr int many = 20000;
    for (int i = 0; i < many; ++i) {
        all.push_back({key(i), "link", 0, "waits", 1, false, {{key((i + 1) % many), "link"}}});
        all.push_back({"q" + key(i), "behind", 0, "waits", 1, false, {{key(i), "link"}}});
    }
    ASSERT_EQ(find_circles(all).size(), 1U);
    EXPECT_EQ(find_circles(all)[0].size(), std::size_t(many));
    EXPECT_THAT(print_waiting(all, 1), HasSubstr("-> 19970 others"));
}

TEST(Stall, CirclesAreCirclesAndAllAreHit) {
    std::mt19937 random(5);
    for (int run = 0; run < 3000; ++run) {
        const std::size_t count = 1 + random() % 8;
        std::vector<Waiting> all;
        for (std::size_t i = 0; i < count; ++i) {
            Waiting waiting{std::to_string(i), "t", 0, "waits", 1, random() % 3 == 0};
            for (unsigned n = random() % 3; n > 0; --n) {
                const std::string target = std::to_string(random() % (count + 1));
                waiting.targets.push_back({target, target});
            }
            all.push_back(waiting);
        }
        // Who can go on, by the words of the header, until nothing changes.
        std::set<std::string> going{std::to_string(count)};
        for (bool changed = true; changed;) {
            changed = false;
            for (const Waiting& w : all) {
                std::size_t met = 0;
                for (const auto& target : w.targets) met += going.count(target.key);
                const bool goes = w.targets.empty() || (w.any ? met > 0 : met == w.targets.size());
                if (goes && going.insert(w.key).second) changed = true;
            }
        }
        const auto circles = find_circles(all);
        ASSERT_EQ(circles.empty(), going.size() == count + 1);
        std::set<std::size_t> seen;
        for (const auto& circle : circles) {
            for (std::size_t i = 0; i < circle.size(); ++i) {
                const Waiting& member = all[circle[i]];
                const std::string next = std::to_string(circle[(i + 1) % circle.size()]);
                ASSERT_TRUE(std::any_of(member.targets.begin(), member.targets.end(),
                                        [&](const auto& t) { return t.key == next; }));
                ASSERT_EQ(going.count(member.key), 0U);
                ASSERT_TRUE(seen.insert(circle[i]).second);
            }
        }
    }
}

TEST(Stall, TravelsAndIsNotTrusted) {
    const Waiting sent = two_actors()[0];
    wire::RecordWriter writer(wire::Kind::waits);
    sent.encode(writer);
    const auto bytes = writer.span().subspan(sizeof(wire::Kind));
    wire::RecordReader reader(bytes);
    const Waiting got = Waiting::decode(reader);
    EXPECT_EQ(got.key, sent.key);
    EXPECT_EQ(got.seconds, sent.seconds);
    ASSERT_EQ(got.targets.size(), 1U);
    EXPECT_EQ(got.targets[0].name, "Ping::hit");
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        wire::RecordReader cut(bytes.first(size));
        EXPECT_THROW(static_cast<void>(Waiting::decode(cut)), Error);
    }
}

}  // namespace
}  // namespace mobula::runtime
