// SPDX-License-Identifier: Apache-2.0

// Goal: what a busy worker has to send goes out soon, although nothing arrives and no duty is due.

#include <gtest/gtest.h>

#include "worker/fake_delegate.hpp"

namespace mobula::worker {
namespace {

using namespace std::chrono_literals;

TEST(busy, the_network_is_driven_often_beside_workers_that_are_all_busy) {
    for (const auto spin : {0us, 20us}) {
        Settings settings;
        settings.workers = 1;
        settings.spin = spin;
        settings.tick = 10min;
        RunningTeam running(settings);
        std::counting_semaphore<> begun{0}, end{0}, ended{0};
        running.team.push(make_job([&] {
            begun.release();
            expect_soon(end, "the end of a long task");
            ended.release();
        }));
        expect_soon(begun, "a long task");
        const std::uint64_t before = running.delegate.polls.load();
        const Time deadline = Clock::now() + patience;
        while (running.delegate.polls.load() < before + 20 && Clock::now() < deadline) {
            std::this_thread::yield();
        }
        EXPECT_LT(Clock::now(), deadline) << "the network was forgotten beside a long task";
        end.release();
        expect_soon(ended, "the end of the task");
    }
}

}  // namespace
}  // namespace mobula::worker
