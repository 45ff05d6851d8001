// SPDX-License-Identifier: Apache-2.0

// Goal: nothing is held twice, no wake-up is lost, nothing waits in a circle, and in the end all is
// free, whatever the order of events. Method: the cores of a few ranks, whose messages are really
// delivered. What a core says that shall be sent is sent later, as by threads that have unlocked
// and not sent yet, so that messages of two operations may overtake each other. Small cases go
// through every order, with states seen before left out; large ones through random orders.

#include "core/reservations_world.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace mobula::core::testing {
namespace {

using Effects = Reservations::Effects;

Amounts cpus(double count) { return {count, 0}; }
Amounts gpus(double count) { return {0, count}; }

/// Goes through all states that can be reached; how many there are.
std::size_t explore(const Plan& plan) {
    const World start(plan);
    std::unordered_set<std::string> seen{start.name()};
    std::vector<World> open{start};
    std::string broken;
    while (!open.empty() && broken.empty()) {
        World world = std::move(open.back());
        open.pop_back();
        bool end = true;
        world.for_each_step([&](auto&& step) {
            end = false;
            World next = world;
            step(next);
            if (!next.broken().empty()) broken = next.broken();
            if (seen.insert(next.name()).second) open.push_back(std::move(next));
        });
        if (end) world.check_end();
        if (!world.broken().empty()) broken = world.broken();
    }
    EXPECT_EQ(broken, "");
    ::testing::Test::RecordProperty("states", std::to_string(seen.size()));
    return seen.size();
}

constexpr Rank r0{0}, r1{1}, r2{2};

TEST(reservations, groups_of_two_makers_that_each_want_all_in_every_order) {
    const GroupPlan by_first{0, {{r0, cpus(1)}, {r1, cpus(1)}}};
    const GroupPlan by_second{1, {{r1, cpus(1)}, {r0, cpus(1)}}};
    EXPECT_GT(explore({{cpus(1), cpus(1)}, {by_first, by_second}, {}}), 50U);
    EXPECT_GT(explore({{cpus(1), cpus(1)}, {by_first, by_second, by_first}, {}}), 300U);
}

TEST(reservations, groups_that_end_while_they_are_asked_for_in_every_order) {
    const GroupPlan by_first{0, {{r0, cpus(1)}, {r1, cpus(1)}}, true};
    const GroupPlan by_second{1, {{r0, cpus(1)}, {r1, cpus(1)}}, true};
    EXPECT_GT(explore({{cpus(1), cpus(1)}, {by_first, by_second}, {}}), 50U);
    const GroupPlan small{1, {{r1, cpus(1)}}, true};
    EXPECT_GT(explore({{cpus(1), cpus(1)}, {by_first, by_second, small}, {}}), 1000U);
}

TEST(reservations, two_groups_of_each_of_two_makers_in_every_order) {
    const GroupPlan by_first{0, {{r0, cpus(2)}, {r1, cpus(1)}, {r1, cpus(1)}}};
    const GroupPlan by_second{1, {{r0, cpus(1)}, {r0, cpus(1)}, {r1, cpus(2)}}};
    const GroupPlan small_by_second{1, {{r1, cpus(1)}}, true};
    EXPECT_GT(explore({{cpus(2), cpus(2)}, {by_first, by_first, by_second, small_by_second}, {}}),
              1000U);
}

TEST(reservations, groups_on_three_ranks_made_elsewhere_in_every_order) {
    const GroupPlan up{0, {{r0, cpus(1)}, {r1, cpus(1)}, {r2, cpus(1)}}};
    const GroupPlan down{2, {{r2, cpus(1)}, {r1, cpus(1)}, {r0, cpus(1)}}};
    EXPECT_GT(explore({{cpus(1), cpus(1), cpus(1)}, {up, down}, {}}), 100U);
    const GroupPlan far{1, {{r0, cpus(1)}, {r2, cpus(1)}}, true};
    EXPECT_GT(explore({{cpus(1), cpus(1), cpus(1)}, {up, down, far}, {}}), 1000U);
}

TEST(reservations, tasks_that_lend_beside_groups_in_every_order) {
    const GroupPlan group{0, {{r0, cpus(1)}, {r1, cpus(3)}}};
    const std::vector<TaskPlan> tasks{{1, cpus(2), true}, {1, cpus(3), true, true}, {1, cpus(0.5)}};
    EXPECT_GT(explore({{cpus(1), cpus(4)}, {group}, tasks}), 1000U);
}

TEST(reservations, tasks_in_bundles_that_go_in_every_order) {
    const GroupPlan group{0, {{r1, cpus(2)}}};
    const std::vector<TaskPlan> tasks{
        {1, cpus(2), true, false, 0}, {1, cpus(2), false, true, 0}, {1, cpus(3)}};
    EXPECT_GT(explore({{cpus(1), cpus(4)}, {group, group}, tasks}), 1000U);
}

TEST(reservations, whole_gpus_and_parts_in_every_order) {
    const GroupPlan group{1, {{r0, gpus(1)}, {r0, gpus(0.5)}}, true};
    const std::vector<TaskPlan> tasks{{0, gpus(1)}, {0, gpus(0.5)}, {0, gpus(0.5)}, {0, gpus(2)}};
    EXPECT_GT(explore({{gpus(2), cpus(1)}, {group}, tasks}), 1000U);
}

Plan random_plan(std::mt19937& random) {
    const auto pick = [&](std::size_t below) { return static_cast<std::size_t>(random() % below); };
    Plan plan{std::vector<Amounts>(4, Amounts(4, 2)), {}, {}};
    for (int i = 0; i < 12; ++i) {
        GroupPlan group{pick(4), {}, pick(3) == 0};
        for (std::size_t count = 1 + pick(6); count > 0; --count) {
            group.bundles.push_back(
                {static_cast<Rank>(pick(4)),
                 Amounts(0.5 * static_cast<double>(pick(2)), 0.25 * static_cast<double>(pick(2)))});
        }
        plan.groups.push_back(group);
    }
    for (int i = 0; i < 30; ++i) {
        TaskPlan task{pick(4), Amounts(static_cast<double>(pick(5)), static_cast<double>(pick(3))),
                      pick(2) == 0, pick(4) == 0};
        if (pick(3) == 0) {
            task.group = static_cast<int>(pick(12));
            const GroupPlan& group = plan.groups[static_cast<std::size_t>(task.group)];
            task.rank = index(group.bundles[0].rank);
            task.demand = Amounts::of_cpus(group.bundles[0].amounts.cpus());
        }
        plan.tasks.push_back(task);
    }
    return plan;
}

TEST(reservations, many_groups_and_tasks_in_random_orders) {
    for (unsigned seed = 0; seed < 60; ++seed) {
        std::mt19937 random(seed);
        const Plan plan = random_plan(random);
        World world(plan);
        for (bool more = true; more && world.broken().empty();) {
            std::vector<std::function<void(World&)>> steps;
            world.for_each_step([&](auto&& step) { steps.emplace_back(step); });
            more = !steps.empty();
            if (more) steps[random() % steps.size()](world);
        }
        if (world.broken().empty()) world.check_end();
        ASSERT_EQ(world.broken(), "") << "seed " << seed;
    }
}

TEST(reservations, say_what_a_demand_lacks_and_what_has_it) {
    Reservations core(r0, cpus(4), {});
    Effects effects;
    const auto holder = core.take({1, cpus(3)});
    EXPECT_TRUE(holder.granted);
    const auto waiter = core.take({2, cpus(2)});
    EXPECT_FALSE(waiter.granted);
    auto lack = core.lack(cpus(2), std::nullopt, 10);
    ASSERT_TRUE(lack.has_value());
    EXPECT_EQ(lack->free, cpus(1));
    EXPECT_EQ(lack->holders, std::vector{holder.claim});
    EXPECT_TRUE(lack->groups.empty());
    core.release(holder.claim, effects);
    ASSERT_EQ(effects.ready.size(), 1U);
    EXPECT_EQ(effects.ready[0].token, 2U);

    const GroupId group = core.create({{r0, cpus(1)}, {r0, cpus(1)}}, {}, effects);
    lack = core.lack(cpus(1), std::nullopt, 10);
    ASSERT_TRUE(lack.has_value());
    EXPECT_EQ(lack->holders, std::vector{waiter.claim});
    EXPECT_EQ(lack->groups, (std::vector{group, group}));
    EXPECT_EQ(core.lack(cpus(1), std::nullopt, 2)->groups.size(), 1U);
    lack = core.lack(cpus(2), BundleKey{group, 1}, 10);
    ASSERT_TRUE(lack.has_value());
    EXPECT_TRUE(lack->holders.empty() && lack->groups.empty());
    EXPECT_FALSE(core.lack(cpus(1), BundleKey{group, 2}, 10).has_value());
}

}  // namespace
}  // namespace mobula::core::testing
