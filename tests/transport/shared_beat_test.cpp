// SPDX-License-Identifier: Apache-2.0
// Goal: a rank of the same node sees the beats of another one while that is busy, and sees that
// they stop. Method: both in one process; beats are waited for, with an end.
#include "transport/shared_beat.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace mobula::transport {
namespace {

using namespace std::chrono_literals;

bool beats_within(SharedBeat::Watched& watched, Duration limit) {
    const Time end = Clock::now() + limit;
    while (Clock::now() < end) {
        if (watched.beaten()) return true;
    }
    return false;
}

TEST(SharedBeat, IsSeenUntilItStops) {
    SharedBeat beat;
    const auto watched = SharedBeat::Watched::open(beat.ticket());
    ASSERT_NE(watched, nullptr);
    EXPECT_FALSE(watched->beaten());
    beat.start(1ms);
    // This thread, which stands for the one that drives the network, does nothing but look.
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(beats_within(*watched, 20s)) << i;
    beat.stop();
    static_cast<void>(watched->beaten());  // the last one
    EXPECT_FALSE(watched->beaten());
    EXPECT_FALSE(beats_within(*watched, 20ms));
}

TEST(SharedBeat, IsNotSeenWithoutATicket) {
    const SharedBeat beat;
    const std::vector<std::byte> ticket = beat.ticket();
    EXPECT_EQ(SharedBeat::Watched::open({}), nullptr);
    EXPECT_EQ(SharedBeat::Watched::open(std::span(ticket).first(ticket.size() - 1)), nullptr);
    for (const std::size_t at : {std::size_t{0}, std::size_t{7}}) {  // of the offset
        std::vector<std::byte> wrong = ticket;
        wrong[at] ^= std::byte{0x41};
        EXPECT_EQ(SharedBeat::Watched::open(wrong), nullptr) << at;
    }
}

}  // namespace
}  // namespace mobula::transport
