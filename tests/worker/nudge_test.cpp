// SPDX-License-Identifier: Apache-2.0

// Goal: a nudge wakes whoever waits or is about to, and none is seen twice.

#include "worker/nudge.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace mobula::worker {
namespace {

using namespace std::chrono_literals;

TEST(nudge, is_seen_once_however_often_it_was_given_before) {
    Nudge nudge;
    nudge.give();
    nudge.give();
    EXPECT_TRUE(nudge.wait_until(Clock::now() + 1min));
    EXPECT_FALSE(nudge.wait_until(Clock::now()));
}

TEST(nudge, ends_a_wait_long_before_its_deadline) {
    Nudge nudge, answer;
    std::thread other([&] {
        for (int i = 0; i < 1000; ++i) {
            EXPECT_TRUE(nudge.wait_until(Clock::now() + 1min));
            answer.give();
        }
    });
    for (int i = 0; i < 1000; ++i) {
        nudge.give();
        EXPECT_TRUE(answer.wait_until(Clock::now() + 1min));
    }
    other.join();
}

}  // namespace
}  // namespace mobula::worker
