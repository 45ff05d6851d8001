// SPDX-License-Identifier: Apache-2.0
// Goal: a link of any rate is kept busy and never has more than its rate takes in some hundred
// milliseconds. Method: simulated links that carry one byte after the other, by a clock of the
// test.
#include "transport/flow.hpp"

#include <algorithm>
#include <deque>
#include <utility>

#include <gtest/gtest.h>

namespace mobula::transport {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t chunk_bytes_max = std::size_t{1} << 20U;

/// Carries chunks one after the other; its end answers when one is there, after `latency`.
class Link {
public:
    explicit Link(double bytes_per_second, Duration latency = milliseconds(1))
        : rate_(bytes_per_second), latency_(latency) {}

    void set_rate(double bytes_per_second) { rate_ = bytes_per_second; }
    /// Sends what may go until the time has come.
    void run(Flow& flow, Time until) {
        while (now_ < until) {
            while (const std::size_t allowed = flow.allowance()) {
                const std::size_t bytes = std::min(allowed, chunk_bytes_max);
                EXPECT_EQ(bytes % Flow::grain_bytes, 0U);
                flow.sent(1, offset_, bytes, now_);
                const auto takes = std::chrono::duration_cast<Duration>(
                    std::chrono::duration<double>(static_cast<double>(bytes) / rate_));
                free_at_ = std::max(free_at_, now_) + takes;
                longest_gap_ = std::max(longest_gap_, takes);
                on_way_.push_back({offset_, bytes, now_, free_at_ + 2 * latency_});
                offset_ += bytes;
            }
            ASSERT_FALSE(on_way_.empty()) << "a flow that has stopped never goes on";
            const Chunk chunk = on_way_.front();
            if (chunk.answered_at > until) break;
            on_way_.pop_front();
            now_ = chunk.answered_at;
            longest_flight_ = std::max<Duration>(longest_flight_, now_ - chunk.sent_at);
            EXPECT_TRUE(flow.arrived(1, chunk.offset, now_));
            carried_ += chunk.bytes;
        }
        now_ = until;
    }
    std::size_t take_carried() { return std::exchange(carried_, 0); }
    Duration take_longest_flight() { return std::exchange(longest_flight_, {}); }
    Duration take_longest_gap() { return std::exchange(longest_gap_, {}); }

private:
    struct Chunk {
        std::uint64_t offset;
        std::size_t bytes;
        Time sent_at, answered_at;
    };
    double rate_;
    Duration latency_;
    Time now_{}, free_at_{};
    std::uint64_t offset_ = 0;
    std::deque<Chunk> on_way_;
    std::size_t carried_ = 0;
    Duration longest_flight_{}, longest_gap_{};
};

constexpr double mbit = 1e6 / 8;

/// After a while the link is used, and nothing is long on its way.
void expect_settled(Link& link, Flow& flow, Time from, double rate) {
    link.run(flow, from + std::chrono::seconds(20));  // to settle
    link.take_carried();
    link.take_longest_flight();
    link.take_longest_gap();
    link.run(flow, from + std::chrono::seconds(40));
    EXPECT_GT(static_cast<double>(link.take_carried()), 0.85 * rate * 20) << rate;
    const auto grain = std::chrono::duration<double>(Flow::grain_bytes / rate);
    const Duration least = std::chrono::duration_cast<Duration>(2 * grain) + milliseconds(10);
    EXPECT_LT(link.take_longest_flight(), std::max<Duration>(milliseconds(350), least)) << rate;
    EXPECT_LT(link.take_longest_gap(), std::max<Duration>(milliseconds(150), least)) << rate;
}

TEST(Flow, FillsALinkOfAnyRateForAMoment) {
    for (const double rate : {1 * mbit, 10 * mbit, 100 * mbit, 1000 * mbit}) {
        Flow flow;
        Link link(rate);
        expect_settled(link, flow, Time{}, rate);
    }
}

TEST(Flow, FollowsALinkThatChanges) {
    Flow flow;
    Link link(1000 * mbit);
    Time from{};
    for (const double rate :
         {1000 * mbit, 100 * mbit, 10 * mbit, 1 * mbit, 10 * mbit, 1000 * mbit}) {
        link.set_rate(rate);
        expect_settled(link, flow, from, rate);
        from += std::chrono::seconds(40);
    }
}

TEST(Flow, IsNoLimitToAFastLink) {
    // 20 GB/s: all that any transfer may have on its way, after a moment.
    Flow flow;
    Link link(20e9, std::chrono::microseconds(20));
    link.run(flow, Time{} + milliseconds(100));
    EXPECT_EQ(flow.limit_bytes(), Flow::limit_bytes_max);
}

TEST(Flow, KnowsWhatWasSent) {
    Flow flow;
    flow.sent(1, 0, 1000, Time{});
    EXPECT_FALSE(flow.arrived(1, 1000, Time{}));
    EXPECT_FALSE(flow.arrived(2, 0, Time{}));
    EXPECT_TRUE(flow.arrived(1, 0, Time{}));
    EXPECT_FALSE(flow.arrived(1, 0, Time{})) << "once";
    EXPECT_EQ(flow.in_flight_bytes(), 0U);
    flow.sent(1, 0, 1000, Time{});
    flow.clear();
    EXPECT_EQ(flow.in_flight_bytes(), 0U);
    EXPECT_GT(flow.allowance(), 0U);
}

TEST(Flow, AlwaysHasSomethingOnItsWay) {
    Flow flow;
    Time now{};
    for (int n = 0; n < 20; ++n) {  // each takes a minute
        const std::size_t bytes = flow.allowance();
        ASSERT_GE(bytes, Flow::grain_bytes);
        flow.sent(1, static_cast<std::uint64_t>(n), bytes, now);
        now += std::chrono::minutes(1);
        EXPECT_TRUE(flow.arrived(1, static_cast<std::uint64_t>(n), now));
    }
    EXPECT_EQ(flow.allowance(), Flow::grain_bytes);
}

}  // namespace
}  // namespace mobula::transport
