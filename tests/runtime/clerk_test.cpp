// SPDX-License-Identifier: Apache-2.0
#include "runtime/clerk.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <semaphore>
#include <vector>

#include "base/driving.hpp"

namespace mobula::runtime {
namespace {

constexpr std::size_t stack_bytes = std::size_t{256} << 10U;
constexpr std::chrono::seconds long_enough{20};

TEST(Clerk, DoesWhatItIsGivenOnAThreadOfItsOwn) {
    std::atomic<int> sent{0};
    Clerk clerk(stack_bytes, [&] { ++sent; });
    EXPECT_TRUE(clerk.idle());
    std::thread::id where;
    bool driving = true;
    {
        const Driving mark;
        clerk.give([&] {
            where = std::this_thread::get_id();
            driving = Driving::now();
        });
    }
    ASSERT_TRUE(clerk.await_idle(long_enough));
    EXPECT_NE(where, std::this_thread::get_id());
    EXPECT_FALSE(driving);
    EXPECT_GE(sent, 1);
}

TEST(Clerk, DoesChoresInTurnOneAfterAnother) {
    Clerk clerk(stack_bytes, [] {});
    std::vector<int> order;
    for (int i = 0; i < 100; ++i) clerk.give_in_turn([&order, i] { order.push_back(i); });
    ASSERT_TRUE(clerk.await_idle(long_enough));
    ASSERT_EQ(order.size(), 100U);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(Clerk, LeavesToHelpersWhatTheyGive) {
    Clerk clerk(stack_bytes, [] {});
    std::thread::id where;
    {
        const Clerk::Helper helper;
        clerk.give([&] { where = std::this_thread::get_id(); });
    }
    EXPECT_TRUE(clerk.needs_help());
    EXPECT_FALSE(clerk.idle());
    clerk.help();
    EXPECT_FALSE(clerk.needs_help());
    EXPECT_TRUE(clerk.idle());
    EXPECT_EQ(where, std::this_thread::get_id());
}

TEST(Clerk, HurriesToWhatHelpersHaveNotDone) {
    Clerk clerk(stack_bytes, [] {});
    std::thread::id where;
    {
        const Clerk::Helper helper;
        clerk.give([&] { where = std::this_thread::get_id(); });
    }
    clerk.hurry();
    ASSERT_TRUE(clerk.await_idle(long_enough));
    EXPECT_NE(where, std::this_thread::get_id());
}

/// One that takes long holds up nothing that a helper can do.
TEST(Clerk, CanBeHelpedWhileItIsBusy) {
    Clerk clerk(stack_bytes, [] {});
    std::binary_semaphore begun{0}, go_on{0};
    clerk.give([&] {
        begun.release();
        go_on.acquire();
    });
    begun.acquire();
    bool done = false;
    clerk.give([&] { done = true; });
    clerk.help();
    EXPECT_TRUE(done);
    EXPECT_FALSE(clerk.await_idle(std::chrono::milliseconds(1)));
    go_on.release();
    EXPECT_TRUE(clerk.await_idle(long_enough));
}

TEST(Clerk, DoesWhatIsLeftAtItsEndAndAllElseAtOnce) {
    int done = 0;
    Clerk clerk(stack_bytes, [] {});
    {
        const Clerk::Helper helper;
        for (int i = 0; i < 10; ++i) clerk.give([&] { ++done; });
    }
    clerk.give_in_turn([&] { ++done; });
    clerk.end();
    EXPECT_EQ(done, 11);
    const Driving mark;
    bool driving = true;
    clerk.give([&] { driving = Driving::now(); });
    EXPECT_FALSE(driving);
    EXPECT_TRUE(Driving::now());
}

}  // namespace
}  // namespace mobula::runtime
