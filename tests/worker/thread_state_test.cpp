// SPDX-License-Identifier: Apache-2.0

// What libraries keep per thread follows the task that it was meant for. Method: a team of one
// worker over libraries of the test's own; tasks change the state, wait, and look again.

#include "worker/thread_state.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <cfenv>
#include <chrono>
#include <functional>
#include <semaphore>
#include <thread>

#include "worker/affinity.hpp"
#include "worker/fake_delegate.hpp"

namespace mobula::worker {
namespace {

using namespace std::chrono_literals;

thread_local int openmp_threads = 3;
thread_local void* context = nullptr;
int a_context = 0, another_context = 0;

constexpr thread_state::Libraries fakes{[] { return openmp_threads; },
                                        [](int threads) { openmp_threads = threads; },
                                        [](void** now) {
                                            *now = context;
                                            return 0;
                                        },
                                        [](void* wanted) {
                                            context = wanted;
                                            return 0;
                                        }};

/// Runs `first` until it waits, then `second` to its end, then the rest of `first`.
void run_around_a_wait(const std::function<void()>& before, const std::function<void()>& second,
                       const std::function<void()>& after) {
    Settings settings;
    RunningTeam running(settings);
    std::binary_semaphore done{0}, unused{0};
    Sleeper self;
    running.team.push(make_job([&] {
        before();
        self = running.team.sleeper(unused);
        running.team.push(make_job([&] {
            second();
            Team::wake(self);
        }));
        running.team.sleep(self);
        after();
        done.release();
    }));
    ASSERT_TRUE(done.try_acquire_for(60s)) << "a task that waits";
}

struct Followed {
    Followed() { thread_state::follow(fakes); }
    ~Followed() { thread_state::follow({}); }
};

TEST(ThreadState, OfLibrariesStaysWithATaskThatWaits) {
    const Followed followed;
    run_around_a_wait(
        [] {
            thread_state::begin_task(2);
            EXPECT_EQ(openmp_threads, 2);
            openmp_threads = 5;  // the task's own wish
            context = &a_context;
        },
        [] {
            thread_state::begin_task(1);
            EXPECT_EQ(openmp_threads, 1);
            context = &another_context;
        },
        [] {
            EXPECT_EQ(openmp_threads, 5);
            EXPECT_EQ(context, &a_context);
        });
}

TEST(ThreadState, CountsPartsOfACpuAsOne) {
    const Followed followed;
    for (const auto& [cpus, threads] : {std::pair{0.0, 1}, {0.5, 1}, {1.5, 2}, {8.0, 8}}) {
        thread_state::begin_task(cpus);
        EXPECT_EQ(openmp_threads, threads) << cpus;
    }
}

TEST(ThreadState, IsNotLookedAtWithoutLibraries) {
    EXPECT_FALSE(thread_state::followed());
    thread_state::follow({.omp_get_max_threads = fakes.omp_get_max_threads});  // half of it
    EXPECT_FALSE(thread_state::followed());
}

/// Binds the calling thread to one of its CPUs, and is busy until the next look is due.
void bind_to_one_cpu(const CpuMask& usual) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(sched_getcpu()), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    ASSERT_FALSE(CpuMask::of_this_thread() == usual);
    const auto begin = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - begin < 3ms) {
    }
}

TEST(ThreadState, CpusStayWithATaskThatWaits) {
    if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "there is one CPU";
    const CpuMask usual = CpuMask::of_this_thread();
    CpuMask bound;
    run_around_a_wait(
        [&] {
            bind_to_one_cpu(usual);
            bound = CpuMask::of_this_thread();
        },
        [&] { EXPECT_EQ(CpuMask::of_this_thread(), usual); },
        [&] { EXPECT_EQ(CpuMask::of_this_thread(), bound); });
}

TEST(ThreadState, CpusOfATaskAreNotTheNextOnes) {
    if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "there is one CPU";
    const CpuMask usual = CpuMask::of_this_thread();
    Settings settings;
    RunningTeam running(settings);
    std::binary_semaphore done{0};
    running.team.push(make_job([&] { bind_to_one_cpu(usual); }));
    running.team.push(make_job([&] {
        EXPECT_EQ(CpuMask::of_this_thread(), usual);
        done.release();
    }));
    ASSERT_TRUE(done.try_acquire_for(60s)) << "the second task";
}

TEST(ThreadState, RoundingStaysWithItsTask) {
    if (thread_state::rounding() == 0) GTEST_SKIP() << "not known on this processor";
    run_around_a_wait([] { std::fesetround(FE_UPWARD); },
                      [] {
                          EXPECT_EQ(std::fegetround(), FE_TONEAREST);
                          std::fesetround(FE_DOWNWARD);
                      },
                      [] { EXPECT_EQ(std::fegetround(), FE_UPWARD); });
}

TEST(ThreadState, RoundingOfATaskIsNotTheNextOnes) {
    if (thread_state::rounding() == 0) GTEST_SKIP() << "not known on this processor";
    Settings settings;
    RunningTeam running(settings);
    std::binary_semaphore done{0};
    running.team.push(make_job([] { std::fesetround(FE_UPWARD); }));
    running.team.push(make_job([&] {
        EXPECT_EQ(std::fegetround(), FE_TONEAREST);
        volatile double one = 1, three = 3;
        volatile long double precise = 1;  // the older of the two units has a word of its own
        EXPECT_EQ(one / three, 0x1.5555555555555p-2);
        EXPECT_EQ(precise + 0x1p-64L, 1);
        done.release();
    }));
    ASSERT_TRUE(done.try_acquire_for(60s)) << "the second task";
}

}  // namespace
}  // namespace mobula::worker
