// SPDX-License-Identifier: Apache-2.0
// Goal: the network that other tests stand on keeps a Transport's promises.
#include "transport/loopback.hpp"

#include <array>
#include <thread>

#include <gtest/gtest.h>

#include "transport/rank_pair.hpp"

namespace mobula::transport {
namespace {

using testing::bytes_of;
using testing::Recorder;

constexpr Rank r0{0}, r1{1};

struct Landing final : Fetch {
    void done() noexcept override { ++ended; }
    void failed(std::string_view why) noexcept override {
        ++ended;
        reason = why;
    }
    int ended = 0;
    std::string reason;
};

TEST(Loopback, DeliversInOrderAndKills) {
    LoopbackNetwork network(2);
    Recorder zero, one;
    network.start(r0, zero);
    network.start(r1, one);
    std::string heard;
    one.hear = [&](Rank, std::span<const std::byte> record) {
        heard.append(reinterpret_cast<const char*>(record.data()), record.size());
    };
    network.at(r0).send(r1, bytes_of("one "));
    network.at(r0).send(r1, bytes_of("two!"));
    EXPECT_TRUE(network.at(r1).progress());
    EXPECT_FALSE(network.at(r1).progress());
    EXPECT_EQ(heard, "one two!");
    EXPECT_EQ(one.misaligned, 0U);
    network.kill(r0);
    network.at(r0).send(r1, bytes_of("ghost"));
    network.at(r1).progress();
    EXPECT_EQ(one.lost, std::vector<Rank>{r0});
    EXPECT_EQ(one.records, 2U);
}

TEST(Loopback, FetchesAndRefuses) {
    LoopbackNetwork network(2);
    Recorder zero, one;
    std::array<std::byte, 100> arena{};
    arena[50] = std::byte{7};
    network.start(r0, zero);
    network.start(r1, one, {arena.data(), arena.size()});
    std::array<std::byte, 10> into{};
    Landing good, bad;
    network.at(r0).fetch(r1, 50, into, good);
    network.at(r0).fetch(r1, 95, into, bad);
    EXPECT_EQ(good.ended, 0) << "a fetch hears of its end from progress()";
    network.at(r0).progress();
    EXPECT_EQ(into[0], std::byte{7});
    EXPECT_EQ(good.ended + bad.ended, 2);
    EXPECT_FALSE(bad.reason.empty());
}

TEST(Loopback, WakesWhoWaits) {
    LoopbackNetwork network(2);
    Recorder zero;
    network.start(r0, zero);
    std::thread waker([&] { network.at(r1).send(r0, bytes_of("wake")); });
    const Time end = Clock::now() + std::chrono::seconds(20);
    while (zero.records == 0 && Clock::now() < end) {
        if (!network.at(r0).progress()) network.at(r0).wait(end);
    }
    waker.join();
    EXPECT_EQ(zero.records, 1U);
    network.at(r0).wake();
    network.at(r0).wait(end);
    EXPECT_LT(Clock::now(), end);
}

}  // namespace
}  // namespace mobula::transport
