// SPDX-License-Identifier: Apache-2.0

// Goal: no bundle stays reserved for a group that is gone, in whatever order the records of its
// maker and of who holds it come. Method: one engine, the other ranks are the test.

#include <gtest/gtest.h>

#include <memory>

#include <mobula/mobula.hpp>

#include "runtime/lone_engine.hpp"

namespace mobula::runtime::testing {
namespace {

using wire::Kind;
using wire::RecordReader;
using wire::RecordWriter;

/// The n-th group of a rank.
constexpr std::uint64_t group_by(Rank maker, std::uint64_t n) {
    return (static_cast<std::uint64_t>(index(maker)) << core::group_number_bits) | n;
}
constexpr std::uint64_t theirs(std::uint64_t n) { return group_by(LoneEngine::peer, n); }
constexpr std::uint64_t gone = group_by(LoneEngine::self, 77);

Record bytes_of(const RecordWriter& record) { return {record.span().begin(), record.span().end()}; }
Record hold(std::uint64_t group) {
    RecordWriter record(Kind::hold_group);
    record.put(group).put(std::uint32_t{1}).put(0U);
    scheduler::Amounts(0, 0, {{"seat", 4}}).encode(record);
    return bytes_of(record);
}
Record about(Kind kind, std::uint64_t group) {
    RecordWriter record(kind);
    record.put(group);
    return bytes_of(record);
}
std::uint64_t group_of(const Record& record) {
    RecordReader reader(record);
    static_cast<void>(reader.get<Kind>());
    return reader.get<std::uint64_t>();
}
std::int64_t free_seats(LoneEngine& engine) { return engine->resources.free().custom("seat"); }

TEST(groups, that_went_have_late_bundles_given_back) {
    LoneEngine engine;
    engine.give(about(Kind::held_group, gone));
    const Record freed = engine.sent(Kind::free_group);
    ASSERT_FALSE(freed.empty());
    EXPECT_EQ(group_of(freed), gone);
}

TEST(groups, are_held_by_those_who_were_asked_and_in_their_turn) {
    LoneEngine engine;
    const PlacementGroup group({{{"seat", 3}}, {{"seat", 3}}, {{"seat", 3}}});
    const std::uint64_t id = group.bundle(0).group;
    engine.give(about(Kind::held_group, id), LoneEngine::driver);
    EXPECT_FALSE(group.ready().done());
    engine.give(about(Kind::held_group, id));
    EXPECT_TRUE(group.ready().done());
    ASSERT_EQ(engine.reason(), "");
    engine.give(about(Kind::held_group, id));  // once too often
    EXPECT_NE(engine.reason(), "");
}

TEST(groups, are_freed_when_their_request_came_behind_the_end) {
    LoneEngine engine;
    engine.give(about(Kind::free_group, theirs(77)));
    engine.give(hold(theirs(77)));
    EXPECT_EQ(free_seats(engine), 0);
    EXPECT_EQ(group_of(engine.sent(Kind::held_group)), theirs(77));
    // This is how the maker answers.
    engine.give(about(Kind::free_group, theirs(77)));
    EXPECT_EQ(free_seats(engine), 4 * scheduler::Amounts::one);
}

TEST(groups, that_wait_go_without_what_they_wait_for) {
    LoneEngine engine;
    engine.give(hold(theirs(1)));
    engine.give(hold(theirs(2)));
    engine.give(hold(theirs(3)));
    EXPECT_EQ(group_of(engine.sent(Kind::held_group)), theirs(1));
    engine.give(about(Kind::free_group, theirs(2)));
    EXPECT_TRUE(engine.sent(Kind::held_group).empty());
    engine.give(about(Kind::free_group, theirs(1)));
    EXPECT_EQ(group_of(engine.sent(Kind::held_group)), theirs(3));
    engine.give(about(Kind::free_group, theirs(3)));
    EXPECT_EQ(free_seats(engine), 4 * scheduler::Amounts::one);
}

std::vector<Waiting> waiting_for_resources(LoneEngine& engine) {
    std::vector<Waiting> all;
    engine->resources.list(all);
    return all;
}

TEST(groups, that_wait_are_listed_with_what_has_the_rest) {
    LoneEngine engine;
    engine.give(hold(theirs(1)));
    engine.give(hold(theirs(2)));
    const std::vector<Waiting> all = waiting_for_resources(engine);
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].name, "placement group 2 of rank 2");
    EXPECT_EQ(all[0].state, "needs 4 seat (free: 1 cpu) and waits");
    ASSERT_EQ(all[0].targets.size(), 1U);
    EXPECT_EQ(all[0].targets[0].name, "placement group 1 of rank 2");
    engine.give(about(Kind::free_group, theirs(1)));
    EXPECT_TRUE(waiting_for_resources(engine).empty());
}

int as_it_is(int value) { return value; }

TEST(resources, are_not_waited_for_by_a_task_that_was_cancelled_before) {
    LoneEngine engine;
    engine.give(hold(theirs(1)));
    const TaskOptions options{.resources = {{"seat", 4}}, .placement = Placement::on_rank(1)};
    Promise<int> input;
    const Ref<int> first = remote<as_it_is>(options, input.ref());
    const Ref<int> second = remote<as_it_is>(options, input.ref());
    cancel(first);
    input.set_value(3);
    engine.settle();
    EXPECT_EQ(waiting_for_resources(engine).size(), 1U);
    EXPECT_FALSE(second.done());
    engine.give(about(Kind::free_group, theirs(1)));
    engine.settle();
    EXPECT_TRUE(second.done());
    EXPECT_EQ(engine->resources.free().custom("seat"), 4 * scheduler::Amounts::one);
}

TEST(groups, that_go_before_they_were_ready_say_so) {
    LoneEngine engine;
    Ref<void> ready;
    {
        const PlacementGroup group({{{"seat", 3}}, {{"seat", 3}}}, Strategy::strict_spread);
        ready = group.ready();
        EXPECT_FALSE(ready.done());
    }
    EXPECT_TRUE(ready.done());
    EXPECT_THROW(get(ready), Cancelled);
}

}  // namespace
}  // namespace mobula::runtime::testing
