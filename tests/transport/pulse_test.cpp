// SPDX-License-Identifier: Apache-2.0
// Goal: a rank that is busy with one record for any time is not silent. Method: two ranks in one
// process; one hears a record and comes back from it only when the other one, by a clock that goes
// with the beats it has heard, would long have declared a silent rank dead.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "transport/rank_pair.hpp"
#include "transport/ucx.hpp"

namespace mobula::transport::testing {
namespace {

constexpr Rank r0{0}, r1{1};
using std::chrono::milliseconds;

Settings settings() {
    Settings settings;
    settings.heartbeat = milliseconds(20);
    settings.declared_dead_after = milliseconds(100);
    settings.always_pulse = true;
    return settings;
}

class Pulses : public ::testing::Test {
protected:
    Pulses() {
        Meeting meeting;
        meeting.nodes = {Node{0}, Node{1}};
        meeting.incarnations = {Incarnation{7}, Incarnation{8}};
        meeting.mapped = {false, false};
        meeting.token = {1, 2};
        for (const auto& rank : ranks_) meeting.addresses.push_back(rank->address());
        for (std::size_t r = 0; r < 2; ++r) {
            meeting.self = Rank{static_cast<std::uint32_t>(r)};
            ranks_[r]->start(meeting, {}, heard_[r]);
        }
    }
    [[nodiscard]] std::uint64_t beats() const { return ranks_[1]->counters().beats_heard; }

    std::unique_ptr<UcxTransport> ranks_[2] = {make_ucx_transport(settings(), 2, 2),
                                               make_ucx_transport(settings(), 2, 2)};
    Recorder heard_[2];
};

TEST_F(Pulses, GoOnWhileARankIsBusy) {
    std::atomic<bool> inside{false}, go_on{false};
    const Time limit = Clock::now() + std::chrono::seconds(60);
    heard_[0].hear = [&](Rank, std::span<const std::byte>) {
        inside.store(true);
        while (!go_on.load() && Clock::now() < limit) std::this_thread::yield();
    };
    std::thread busy([&] {
        while (!inside.load() && Clock::now() < limit) ranks_[0]->progress();
    });
    ranks_[1]->send(r0, bytes_of("this takes long"));
    while (!inside.load() && Clock::now() < limit) ranks_[1]->progress();
    EXPECT_TRUE(inside.load());

    // A beat and a period of silence would not be enough for the limit of five.
    Time now = Clock::now();
    std::uint64_t heard = beats();
    for (int periods = 0; periods < 50; ++periods) {
        while (beats() == heard && Clock::now() < limit) ranks_[1]->progress();
        heard = beats();
        ranks_[1]->tick(now += milliseconds(20));
        ranks_[1]->progress();
    }
    EXPECT_LT(Clock::now(), limit) << "no beats come";
    EXPECT_TRUE(heard_[1].lost.empty()) << heard_[1].reasons.front();
    go_on.store(true);
    busy.join();
}

TEST_F(Pulses, AreNotHeardOfAStrangersJob) {
    Meeting other;
    other.nodes = {Node{0}, Node{1}};
    other.incarnations = {Incarnation{7}, Incarnation{8}};
    other.mapped = {false, false};
    other.token = {1, 3};  // of another job
    const auto stranger = make_ucx_transport(settings(), 2, 2);
    other.addresses = {stranger->address(), ranks_[1]->address()};
    other.self = r0;
    Recorder nothing;
    stranger->start(other, {}, nothing);
    const auto refused = [&] { return ranks_[1]->counters().messages_refused; };
    const Time limit = Clock::now() + std::chrono::seconds(60);
    while (beats() == 0 && Clock::now() < limit) ranks_[1]->progress();
    EXPECT_GT(beats(), 0U);
    // From here on only the stranger beats, but for what rank 0 has under way.
    ranks_[0]->stop_beating();
    while (refused() < 10 && Clock::now() < limit) ranks_[1]->progress();
    EXPECT_GE(refused(), 10U);
    const std::uint64_t before = beats();
    while (refused() < 20 && Clock::now() < limit) ranks_[1]->progress();
    EXPECT_GE(refused(), 20U);
    EXPECT_EQ(beats(), before);
}

TEST_F(Pulses, EndWithTheTransport) {
    const Time limit = Clock::now() + std::chrono::seconds(60);
    while (beats() == 0 && Clock::now() < limit) ranks_[1]->progress();
    EXPECT_GT(beats(), 0U);
    ranks_[0].reset();
    ranks_[1].reset();
}

}  // namespace
}  // namespace mobula::transport::testing
