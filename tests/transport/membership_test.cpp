// SPDX-License-Identifier: Apache-2.0
// Goal: nobody unwatched, no death unnoticed, told twice or invented. Method: small sets of events
// in every order; then whole jobs of simulated ranks with random deaths, whose views must agree.
#include "transport/membership.hpp"

#include <algorithm>
#include <deque>
#include <random>
#include <set>

#include <gtest/gtest.h>

namespace mobula::transport {
namespace {

using State = Membership::State;
using Verdict = Membership::Verdict;
using std::chrono::milliseconds;

const Time start{};
constexpr Rank r0{0}, r1{1}, r2{2};

MembershipLimits limits() {
    return {.heartbeat = milliseconds(200),
            .dead_after = milliseconds(2000),
            .join_within = milliseconds(20000),
            .neighbours = 3};
}

Membership make(Rank self, std::size_t ranks, std::size_t ranks_per_node = 1,
                MembershipLimits with = limits()) {
    std::vector<Node> nodes;
    for (std::size_t r = 0; r < ranks; ++r) {
        nodes.push_back(Node{static_cast<std::uint32_t>(r / ranks_per_node)});
    }
    return {self, nodes, std::vector<Incarnation>(ranks), with, start};
}

TEST(Membership, EndsInOneStateWhateverTheOrder) {
    enum Event { heard, died, left, silent };
    std::vector<Event> events{heard, died, left, silent};
    do {
        Membership view = make(r0, 3);
        int gone = 0;
        Time now = start;
        (void)view.hears(r1, {});
        (void)view.tick(now);
        for (const Event event : events) {
            const State before = view.state(r1);
            switch (event) {
                case heard: {
                    const auto verdict = view.hears(r1, {});
                    EXPECT_EQ(verdict, before == State::dead ? Verdict::fence : Verdict::believe);
                    break;
                }
                case died: gone += view.declare_dead(r1) ? 1 : 0; break;
                case left: gone += view.declare_left(r1) ? 1 : 0; break;
                case silent:
                    for (int n = 0; n < 13; ++n) {
                        (void)view.hears(r2, {});
                        for (const auto& death : view.tick(now += milliseconds(200)).deaths) {
                            EXPECT_EQ(death.rank, r1);
                            ++gone;
                        }
                    }
                    break;
            }
            const bool was_gone = before == State::dead || before == State::left;
            EXPECT_TRUE(!was_gone || view.state(r1) == before) << "who is gone stays gone";
        }
        EXPECT_EQ(gone, 1) << "a member goes once";
        EXPECT_EQ(view.epoch(), 1U);
        EXPECT_TRUE(view.lives(r2));
    } while (std::next_permutation(events.begin(), events.end()));
}

TEST(Membership, KnowsWhoIsFirstAndWhetherItIsLast) {
    Membership view = make(r1, 3);
    EXPECT_EQ(view.first(), r0);
    EXPECT_FALSE(view.is_last());
    EXPECT_TRUE(view.declare_left(r2));
    EXPECT_FALSE(view.is_last());
    EXPECT_EQ(view.first(), r0);
    EXPECT_TRUE(view.declare_dead(r0));
    EXPECT_TRUE(view.is_last());
    EXPECT_EQ(view.first(), r1);
}

TEST(Membership, DropsOtherIncarnationsAndStrangers) {
    Membership view(r0, {Node{0}, Node{1}}, {Incarnation{0}, Incarnation{5}}, limits(), start);
    EXPECT_EQ(view.hears(r1, Incarnation{4}), Verdict::drop);
    EXPECT_EQ(view.state(r1), State::joining);
    EXPECT_EQ(view.hears(r1, Incarnation{6}), Verdict::drop);
    EXPECT_EQ(view.hears(r2, Incarnation{5}), Verdict::drop);
    EXPECT_EQ(view.hears(r0, Incarnation{0}), Verdict::drop);
    EXPECT_EQ(view.hears(r1, Incarnation{5}), Verdict::believe);
    EXPECT_EQ(view.state(r1), State::alive);
}

TEST(Membership, FindsSilenceWithinTheLimit) {
    Membership view = make(r0, 2);
    (void)view.hears(r1, {});
    (void)view.tick(start);
    Time now = start;
    while (now < start + milliseconds(2000)) {
        EXPECT_TRUE(view.tick(now += milliseconds(200)).deaths.empty());
    }
    const auto round = view.tick(now += milliseconds(200));
    ASSERT_EQ(round.deaths.size(), 1U);
    EXPECT_EQ(round.deaths[0].reason, "rank 1 was silent for 2.2 s");
    EXPECT_TRUE(round.beat_to.empty());
    EXPECT_TRUE(view.tick(now += milliseconds(200)).deaths.empty()) << "told once";
}

TEST(Membership, GivesAStoppedMemberItsWholeTime) {
    // It stops just before a beat is due and goes on just before its time is over, wherever these
    // fall between the looks of the others.
    for (int stopped_at = 200; stopped_at < 400; stopped_at += 10) {
        Membership view = make(r0, 2);
        (void)view.hears(r1, {});
        bool told = false;
        for (int t = 0; t <= 4000; t += 10) {
            if (t % 200 == 90 && (t < stopped_at || t >= stopped_at + 2000)) {
                EXPECT_EQ(view.hears(r1, {}), Verdict::believe) << stopped_at;
            }
            if (t == stopped_at + 2000) (void)view.hears(r1, {});
            if (t % 100 != 0) continue;
            told = told || !view.tick(start + milliseconds(t)).deaths.empty();
        }
        EXPECT_FALSE(told) << "stopped at " << stopped_at << " ms for 2 s";
    }
}

TEST(Membership, IsPatientWithWhoStarts) {
    Membership view = make(r0, 2);
    Time now = start;
    std::size_t deaths = 0;
    while (now < start + milliseconds(19600))
        deaths += view.tick(now += milliseconds(200)).deaths.size();
    EXPECT_EQ(deaths, 0U);
    while (now < start + milliseconds(20200))
        deaths += view.tick(now += milliseconds(200)).deaths.size();
    EXPECT_EQ(deaths, 1U);
}

TEST(Membership, BlamesNobodyForItsOwnPause) {
    Membership view = make(r0, 2);
    (void)view.hears(r1, {});
    (void)view.tick(start);
    (void)view.tick(start + milliseconds(200));
    // Stopped for an hour: then the others get their full time again.
    Time now = start + std::chrono::hours(1);
    EXPECT_TRUE(view.tick(now).deaths.empty());
    EXPECT_TRUE(view.tick(now += milliseconds(200)).deaths.empty());
    std::size_t deaths = 0;
    for (int n = 0; n < 11; ++n) deaths += view.tick(now += milliseconds(200)).deaths.size();
    EXPECT_EQ(deaths, 1U) << "but not for ever";
}

TEST(Membership, BlamesNobodyForPausesOneAfterAnother) {
    // A machine that stands still again and again, less than half of the limit each time.
    Membership view = make(r0, 2);
    (void)view.hears(r1, {});
    Time now = start;
    (void)view.tick(now);
    std::size_t deaths = 0;
    for (int n = 0; n < 5; ++n) deaths += view.tick(now += milliseconds(900)).deaths.size();
    EXPECT_EQ(deaths, 0U);
    for (int n = 0; n < 6; ++n) deaths += view.tick(now += milliseconds(900)).deaths.size();
    EXPECT_EQ(deaths, 1U) << "but not for ever";
}

TEST(Membership, SparesBeatsToWhomItTalks) {
    Membership view = make(r0, 3);
    view.told(r1);
    EXPECT_EQ(view.tick(start + milliseconds(200)).beat_to, std::vector<Rank>{r2});
    EXPECT_EQ(view.tick(start + milliseconds(400)).beat_to.size(), 2U);
}

TEST(Membership, ForgetsWhatWasBeforeAMemberBecameANeighbour) {
    MembershipLimits with = limits();
    with.neighbours = 1;
    Membership view = make(r0, 5, 1, with);
    const auto everybody_but = [&](Rank silent) {
        for (std::uint32_t r = 1; r < 5; ++r) {
            if (Rank{r} != silent) (void)view.hears(Rank{r}, {});
        }
    };
    (void)view.hears(r2, {});
    view.told(r2);
    Time now = start;
    for (int n = 0; n < 20; ++n) {
        everybody_but(r2);
        EXPECT_TRUE(view.tick(now += milliseconds(200)).deaths.empty()) << "it is not watched";
    }
    ASSERT_TRUE(view.declare_dead(r1));
    std::vector<Membership::Death> deaths;
    int ticks = 0;
    for (; deaths.empty() && ticks < 100; ++ticks) {
        everybody_but(r2);
        const auto round = view.tick(now += milliseconds(200));
        deaths = round.deaths;
        const bool beats =
            std::find(round.beat_to.begin(), round.beat_to.end(), r2) != round.beat_to.end();
        EXPECT_EQ(beats, deaths.empty()) << "what it was told long ago spares no beat";
    }
    ASSERT_EQ(deaths.size(), 1U);
    EXPECT_EQ(deaths[0].rank, r2);
    EXPECT_EQ(ticks, 11) << "what it said long ago is no sign of life";
}

TEST(Membership, KnowsTheLast) {
    std::mt19937 random(1);
    for (int round = 0; round < 200; ++round) {
        Membership view = make(r2, 6);
        for (int step = 0; step < 12; ++step) {
            const Rank rank{static_cast<std::uint32_t>(random() % 6)};
            if (rank == r2) continue;
            (void)(random() % 2 == 0 ? view.declare_dead(rank) : view.declare_left(rank));
            bool any = false;
            for (std::uint32_t r = 0; r < 6; ++r)
                any = any || (Rank{r} != r2 && view.lives(Rank{r}));
            ASSERT_EQ(view.is_last(), !any);
        }
    }
}

TEST(Membership, WatchesAcrossNodesAndBothWays) {
    constexpr std::size_t ranks = 32;
    for (const std::size_t per_node : {1U, 4U, 16U}) {
        std::vector<Membership> views;
        for (std::uint32_t r = 0; r < ranks; ++r) views.push_back(make(Rank{r}, ranks, per_node));
        for (std::uint32_t r = 0; r < ranks; ++r) {
            bool other_node = false;
            EXPECT_EQ(views[r].neighbours().size(), 6U) << "the cost does not grow with the job";
            for (const Rank peer : views[r].neighbours()) {
                const auto& back = views[index(peer)].neighbours();
                EXPECT_NE(std::find(back.begin(), back.end(), Rank{r}), back.end())
                    << "who beats is watched by whom it beats to";
                other_node = other_node || index(peer) / per_node != r / per_node;
            }
            EXPECT_TRUE(other_node) << "a node that fails is noticed from outside";
        }
    }
}

/// A job of ranks whose news travel as the transport sends them: to the neighbours, who pass on
/// what is new to them.
class Simulation {
public:
    Simulation(std::size_t ranks, std::size_t per_node) : told_(ranks) {
        for (std::uint32_t r = 0; r < ranks; ++r) views_.push_back(make(Rank{r}, ranks, per_node));
    }

    void kill(Rank rank) { killed_.insert(rank); }

    void round() {
        now_ += milliseconds(200);
        for (std::uint32_t r = 0; r < views_.size(); ++r) {
            if (killed_.contains(Rank{r})) continue;
            const auto round = views_[r].tick(now_);
            for (const auto& death : round.deaths) learned(Rank{r}, death.rank);
            for (const Rank peer : round.beat_to) mail_.push_back({Rank{r}, peer, Rank{r}});
        }
        while (!mail_.empty()) {
            const Mail mail = mail_.front();
            mail_.pop_front();
            if (killed_.contains(mail.to)) continue;
            Membership& view = views_[index(mail.to)];
            if (view.hears(mail.from, {}) != Verdict::believe || mail.dead == mail.from) continue;
            if (view.declare_dead(mail.dead)) learned(mail.to, mail.dead);
        }
    }

    void expect_agreement() const {
        for (std::uint32_t r = 0; r < views_.size(); ++r) {
            if (killed_.contains(Rank{r})) continue;
            EXPECT_EQ(told_[r], killed_) << "rank " << r;
        }
    }

private:
    struct Mail {
        Rank from, to, dead;
    };

    void learned(Rank who, Rank dead) {
        EXPECT_TRUE(told_[index(who)].insert(dead).second) << "told once";
        EXPECT_TRUE(killed_.contains(dead)) << "nobody living is declared dead";
        for (const Rank peer : views_[index(who)].neighbours()) mail_.push_back({who, peer, dead});
    }

    Time now_ = start;
    std::vector<Membership> views_;
    std::vector<std::set<Rank>> told_;
    std::set<Rank> killed_;
    std::deque<Mail> mail_;
};

TEST(Membership, AgreesOnEveryRandomSetOfDeaths) {
    std::mt19937 random(7);
    for (int job = 0; job < 60; ++job) {
        const std::size_t ranks = 2 + random() % 40;
        Simulation simulation(ranks, 1 + random() % 4);
        for (int round = 0; round < 120; ++round) {
            if (round > 2 && random() % 20 == 0) {
                simulation.kill(Rank{static_cast<std::uint32_t>(random() % ranks)});
            }
            simulation.round();
        }
        for (int round = 0; round < 100; ++round) simulation.round();
        simulation.expect_agreement();
    }
}

TEST(Membership, NoticesANodeThatFailsAtOnce) {
    Simulation simulation(32, 8);
    for (int n = 0; n < 5; ++n) simulation.round();
    for (std::uint32_t r = 8; r < 16; ++r) simulation.kill(Rank{r});
    for (int n = 0; n < 12; ++n) simulation.round();
    simulation.expect_agreement();
}

}  // namespace
}  // namespace mobula::transport
