// SPDX-License-Identifier: Apache-2.0

// A stack can be touched from end to end and not below; what a spare one has used goes back.

#include "worker/stack.hpp"

#include <gtest/gtest.h>

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>
#include <vector>

#include "worker/dies.hpp"
#include "worker/fake_delegate.hpp"
#include "worker/fiber.hpp"

namespace mobula::worker {
namespace {

constexpr std::size_t kib = 1024, mib = 1024 * kib, page = 4 * kib;

/// Bytes of a stack that lie in memory.
std::size_t resident(const Stack& stack) {
    std::vector<unsigned char> pages(stack.bytes() / page);
    EXPECT_EQ(mincore(stack.bottom(), stack.bytes(), pages.data()), 0);
    return page * static_cast<std::size_t>(std::count_if(
                      pages.begin(), pages.end(), [](unsigned char in) { return (in & 1) != 0; }));
}

TEST(Stack, IsAsLargeAsWasAskedFor) {
    const Stack stack(8 * mib);
    EXPECT_EQ(stack.bytes(), 8 * mib);
    EXPECT_EQ(stack.top(), stack.bottom() + 8 * mib);
    EXPECT_EQ(resident(stack), 0U);
    std::memset(stack.bottom(), 1, stack.bytes());
    EXPECT_EQ(resident(stack), 8 * mib);
    EXPECT_EQ(Stack(100 * kib + 1).bytes(), 104 * kib);
}

TEST(Stack, HasAGuardBelow) {
    const Stack stack(mib);
    EXPECT_TRUE(stack.guards(stack.bottom() - 1));
    EXPECT_TRUE(stack.guards(stack.bottom() - 64 * kib));
    EXPECT_FALSE(stack.guards(stack.bottom() - 65 * mib));
    EXPECT_FALSE(stack.guards(stack.bottom()));
    EXPECT_FALSE(stack.guards(stack.top()));
    const auto write_below = [&] {
        without_core();
        *static_cast<volatile std::byte*>(stack.bottom() - 60 * kib) = std::byte{1};
    };
    EXPECT_EXIT(write_below(), DiesOf{SIGSEGV}, "");
}

TEST(Stack, GivesBackWhatLiesDeep) {
    Stack stack(mib);
    std::memset(stack.bottom(), 1, stack.bytes());
    stack.trim();
    EXPECT_EQ(resident(stack), 64 * kib);
    EXPECT_EQ(stack.top()[-1], std::byte{1});
}

TEST(Stack, IsRefusedWhereAddressSpaceIsShort) {
    EXPECT_THROW(Stack(std::size_t{1} << 60U), std::bad_alloc);
}

int use_all_but(std::size_t spare, std::size_t stack_bytes) {
    const std::size_t bytes = stack_bytes - spare;
    auto* const array = static_cast<volatile char*>(__builtin_alloca(bytes));
    for (std::size_t i = 0; i < bytes; i += page) array[i] = 1;
    return array[0];
}

long resident_of_process_kib() {
    long pages = 0, resident = 0;
    std::FILE* const file = std::fopen("/proc/self/statm", "r");
    if (file == nullptr || std::fscanf(file, "%ld %ld", &pages, &resident) != 2) return -1;
    std::fclose(file);
    return resident * static_cast<long>(page / kib);
}

/// Many tasks wait at once, each having used all of its stack; when they have ended, most of that
/// memory is free though the stacks are kept.
TEST(Stack, OfTasksThatWaitedIsMostlyGivenBack) {
    if (watched()) GTEST_SKIP() << "a sanitizer takes memory of its own for what is touched";
    using namespace std::chrono_literals;
    constexpr int tasks = 100;
    Settings given;
    given.stack_bytes = mib;
    RunningTeam running(given);
    std::vector<Sleeper> sleeping;
    std::counting_semaphore<> asleep{0}, done{0};
    const long before = resident_of_process_kib();
    for (int i = 0; i < tasks; ++i) {
        running.team.push(make_job([&] {
            use_all_but(64 * kib, mib);
            std::binary_semaphore unused{0};
            const Sleeper self = running.team.sleeper(unused);
            sleeping.push_back(self);
            asleep.release();
            running.team.sleep(self);
            use_all_but(64 * kib, mib);
            done.release();
        }));
    }
    for (int i = 0; i < tasks; ++i) ASSERT_TRUE(asleep.try_acquire_for(60s));
    EXPECT_GT(resident_of_process_kib() - before, 80'000);
    for (const Sleeper& sleeper : sleeping) Team::wake(sleeper);
    for (int i = 0; i < tasks; ++i) ASSERT_TRUE(done.try_acquire_for(60s));
    // 9 warm ones with all, the one in use and the others with 64 KiB.
    EXPECT_LT(resident_of_process_kib() - before, 30'000);
}

}  // namespace
}  // namespace mobula::worker
