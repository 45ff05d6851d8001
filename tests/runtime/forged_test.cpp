// SPDX-License-Identifier: Apache-2.0

// Goal: records that are well formed and say what cannot be end the job with a sentence, or are
// refused, and never reach what they speak of. Each of these once crashed or misled an engine.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>

#include <mobula/mobula.hpp>

#include "runtime/records_stage.hpp"

// The address sanitizer's, where there is one.
extern "C" void __lsan_disable() __attribute__((weak));
extern "C" void __lsan_enable() __attribute__((weak));

namespace mobula::runtime::testing {
namespace {

using wire::Kind;
using wire::RecordWriter;

std::string repeat(const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
}
int twice(int n) { return 2 * n; }
Generator<std::string> items(int n) {
    for (int i = 0; i < n; ++i) co_yield "item";
}
struct Counter {
    explicit Counter(int start) : count(start) {}
    int add(int n) { return count += n; }
    int count;
};
struct Other {
    explicit Other(int) {}
    std::string text() { return word; }
    std::string word = "another class has something else here";
};

ActorOptions actor_there() { return {.placement = Placement::on_rank(2)}; }

class Forged : public ::testing::Test {
protected:
    // What a job that cannot go on leaves in memory goes with its process.
    Forged() {
        if (__lsan_disable != nullptr) __lsan_disable();
    }
    ~Forged() override {
        if (__lsan_enable != nullptr) __lsan_enable();
    }

    void refuses(const RecordWriter& record, const std::string& why) {
        ASSERT_EQ(stage.engine.reason(), "");
        stage.engine.give(record);
        EXPECT_EQ(stage.engine.reason(), "rank 2 sent what rank 1 cannot accept: " + why);
    }
    void refuses(const Record& record, const std::string& why) {
        ASSERT_EQ(stage.engine.reason(), "");
        stage.engine.give(record);
        EXPECT_EQ(stage.engine.reason(), "rank 2 sent what rank 1 cannot accept: " + why);
    }
    template <class A>
    Record made(A&& actor, Kind kind) {
        stage.keep(std::forward<A>(actor));
        return stage.engine.sent(kind);
    }
    /// A record that names an object of this rank, and the rest.
    static RecordWriter& about(RecordWriter& record, const ObjectId& id) { return record.put(id); }
    /// The name of a kept copy, as if it were an object's.
    ObjectId copy() {
        const Ref<int> kept = put(5);
        const std::uint64_t serial = stage.engine->exchange.keep_copy(
            graph::Object::of(*kept.cell().get()), std::make_unique<graph::Encoded>());
        return {LoneEngine::self, LoneEngine::incarnation(LoneEngine::self), serial};
    }

    Stage stage;
};

TEST_F(Forged, plain_result_of_a_type_that_is_not_plain) {
    RecordWriter record(Kind::result);
    start_result(record, Result::plain, key_of(stage.task<repeat>("x", 2)));
    for (int i = 0; i < 64; ++i) record.put(std::uint64_t{0x4141414141414141U});
    refuses(record, "a record gives a result in a form it has not");
}

TEST_F(Forged, give_back_of_a_constructor) {
    const Record spawned = made(spawn<Counter>(actor_there(), 5), Kind::spawn);
    wire::RecordReader reader(spawned);
    static_cast<void>(reader.bytes(1 + sizeof(ObjectId) + 4 + 4));
    RecordWriter record(Kind::returned);
    record.put(std::uint32_t{0}).put(std::uint32_t{1}).put(std::uint32_t{1});
    record.put(reader.get<TaskKey>());
    refuses(record, "a rank gives back a task that it may not");
}

TEST_F(Forged, give_back_of_a_task_that_must_run_there) {
    RecordWriter record(Kind::returned);
    record.put(std::uint32_t{0}).put(std::uint32_t{1}).put(std::uint32_t{1});
    record.put(key_of(stage.task<twice>(1)));
    refuses(record, "a rank gives back a task that it may not");
}

TEST_F(Forged, argument_of_another_type) {
    const Ref<int> number = put(5);
    const Ref<std::string> text = put(std::string("text"));
    Record task = stage.task<repeat>(text, 2);
    const ObjectId right = stage.shared(text), wrong = stage.shared(number);
    const auto* const name = reinterpret_cast<const std::byte*>(&right);
    const auto at = std::search(task.begin(), task.end(), name, name + sizeof right);
    ASSERT_NE(at, task.end());
    std::memcpy(&*at, &wrong, sizeof wrong);
    stage.engine.give(task);
    const Record result = stage.engine.sent(Kind::result);
    EXPECT_THAT(std::string(reinterpret_cast<const char*>(result.data()), result.size()),
                ::testing::HasSubstr("an object of the type int was named where a "));
    EXPECT_EQ(stage.engine.reason(), "");
}

TEST_F(Forged, question_for_a_kept_copy) {
    RecordWriter record(Kind::find);
    record.put(copy()).put(LoneEngine::peer).put(std::uint64_t{1}).text({});
    stage.engine.give(record);
    const Record answer = stage.engine.sent(Kind::found);
    ASSERT_EQ(answer.size(), 1 + sizeof(std::uint64_t) + 1);
    EXPECT_EQ(answer.back(), std::byte{0});
    EXPECT_EQ(stage.engine.reason(), "");
}

TEST_F(Forged, reference_to_a_kept_copy) {
    RecordWriter record(Kind::found);
    record.put(std::uint64_t{1}).put(std::uint8_t{1}).put(copy()).put(std::uint8_t{0});
    refuses(record, "a record names an object that is gone");
}

TEST_F(Forged, name_of_an_earlier_start) {
    ObjectId id = theirs;
    id.incarnation = Incarnation{static_cast<std::uint32_t>(index(id.incarnation)) - 1};
    RecordWriter record(Kind::found);
    record.put(std::uint64_t{1}).put(std::uint8_t{1}).put(id).put(std::uint8_t{0});
    refuses(record, "a record names an object of an earlier start of its rank");
}

class Releases : public Forged, public ::testing::WithParamInterface<std::int64_t> {};

TEST_P(Releases, of_what_cannot_have_been_granted) {
    RecordWriter record(Kind::release);
    record.put(stage.shared(put(1))).put(GetParam());
    refuses(record, "a rank released an object more often than it can have had it");
}
INSTANTIATE_TEST_SUITE_P(all, Releases,
                         ::testing::Values(std::numeric_limits<std::int64_t>::min(),
                                           std::numeric_limits<std::int64_t>::max(), -1, 0));

TEST_F(Forged, releases_that_overflow_together) {
    const ObjectId id = stage.shared(put(1));
    for (int n = 0; n < 2; ++n) {
        RecordWriter record(Kind::release);
        record.put(id).put(graph::Holders::grants_max);
        stage.engine.give(record);
    }
    EXPECT_NE(stage.engine.reason().find("more often than it can have had it"), std::string::npos);
}

TEST_F(Forged, grant_of_an_object_of_another_rank) {
    stage.held();
    RecordWriter record(Kind::grant);
    record.put(theirs).put(LoneEngine::driver);
    refuses(record, "a rank passed on an object that is gone");
}

TEST_F(Forged, question_for_an_object_of_another_rank) {
    stage.held();
    RecordWriter record(Kind::subscribe);
    record.put(theirs).put(std::uint8_t{1});
    refuses(record, "a rank asks for an object that is gone");
}

TEST_F(Forged, end_of_an_object_that_is_made_here) {
    const Ref<int> own = remote<twice>({.placement = Placement::on_rank(1)}, 1);
    RecordWriter record(Kind::done);
    record.put(stage.shared(own)).put(std::uint8_t{1});
    put_failure(record, true);
    refuses(record, "a rank tells the owner where its object is");
}

TEST_F(Forged, value_of_an_object_that_is_made_here) {
    const Ref<std::string> own = remote<repeat>({.placement = Placement::on_rank(1)}, "x", 2);
    RecordWriter record(Kind::value);
    record.put(stage.shared(own)).put(std::uint8_t{1});
    put_form(record, "a value");
    refuses(record, "a rank sends a value that nobody asked for");
}

TEST_F(Forged, place_of_bytes_that_are_not_kept_here) {
    graph::Object& object = stage.held();
    RecordWriter record(Kind::done);
    record.put(theirs).put(std::uint8_t{0});
    record.put(LoneEngine::self).put(std::uint64_t{77}).put(std::uint64_t{100});
    stage.engine.give(record);
    stage.engine->exchange.want(object, true);
    EXPECT_EQ(graph::state_of(object), graph::State::failed);
    EXPECT_EQ(stage.engine.reason(), "");
}

TEST_F(Forged, item_whose_blocks_are_elsewhere) {
    RecordWriter record(Kind::item);
    record.put(key_of(stage.task<items>(3))).put(std::uint8_t{0});
    record.put(std::uint8_t{0}).put(std::uint32_t{1});
    record.put(std::uint64_t{0}).put(std::uint64_t{1000});
    record.put(std::uint32_t{0}).put(std::uint8_t{0}).put(std::uint32_t{0});
    refuses(record, "a record gives an item and leaves its blocks elsewhere");
}

TEST_F(Forged, item_of_a_task_that_is_no_stream) {
    RecordWriter record(Kind::item);
    record.put(key_of(stage.task<twice>(3))).put(std::uint8_t{0}).put(std::uint8_t{0});
    put_form(record, "an item");
    refuses(record, "a record gives an item of a task that is no stream");
}

TEST_F(Forged, call_of_a_method_as_a_task) {
    const auto counter = spawn<Counter>(actor_there(), 5);
    stage.keep(counter);
    stage.engine.give(stage.engine.sent(Kind::spawn));
    const Record call = made(counter.call<&Counter::add>(1), Kind::call);
    Record task(1, static_cast<std::byte>(Kind::task));
    task.insert(task.end(), call.begin() + 1 + sizeof(ObjectId), call.end());
    refuses(task, "a record calls a function as what it is not");
}

TEST_F(Forged, call_of_a_function_as_a_method) {
    const Record task = stage.task<twice>(1);
    RecordWriter call(Kind::call);
    call.put(theirs).bytes(task.data() + 1, task.size() - 1);
    refuses(call, "a record calls a function as what it is not");
}

TEST_F(Forged, constructor_that_comes_again) {
    const Record spawned = made(spawn<Counter>(actor_there(), 5), Kind::spawn);
    stage.engine.give(spawned);
    stage.engine.settle();
    refuses(spawned, "a record makes an actor that is made already");
}

/// The call of a method of one class, to an actor of another.
Record call_of_counter_to(Stage& stage, const Actor<Other>& other) {
    const auto counter = spawn<Counter>(actor_there(), 5);
    stage.keep(counter);
    stage.keep(counter.call<&Counter::add>(1));
    Record call = stage.engine.sent(Kind::call);
    const ObjectId id =
        stage.engine->exchange.actor_of(graph::Object::of(*other.cell().get())).first;
    std::memcpy(call.data() + 1, &id, sizeof id);
    return call;
}

TEST_F(Forged, call_of_a_method_of_another_class) {
    const auto other = spawn<Other>(actor_there(), 5);
    stage.keep(other);
    stage.engine.give(stage.engine.sent(Kind::spawn));
    stage.engine.settle();
    stage.engine.give(call_of_counter_to(stage, other));
    EXPECT_TRUE(stage.engine.has_failed_a_task());
    EXPECT_EQ(stage.engine.reason(), "");
}

TEST_F(Forged, call_of_a_method_of_another_class_before_the_constructor) {
    const auto other = spawn<Other>(actor_there(), 5);
    stage.keep(other);
    const Record spawned = stage.engine.sent(Kind::spawn);
    stage.engine.give(call_of_counter_to(stage, other));
    stage.engine.give(spawned);
    EXPECT_TRUE(stage.engine.has_failed_a_task());
    EXPECT_EQ(stage.engine.reason(), "");
}

/// Asks for a bundle of the group: two of the four seats.
void put_hold(RecordWriter& record, std::uint64_t group) {
    record.put(group).put(std::uint32_t{1}).put(0U);
    scheduler::Amounts(1, 0, {{"seat", 2}}).encode(record);
}
constexpr std::uint64_t group_of_peer = (std::uint64_t{2} << core::group_number_bits) | 11U;

TEST_F(Forged, bundles_that_are_reserved_twice) {
    RecordWriter record(Kind::hold_group);
    put_hold(record, group_of_peer);
    stage.engine.give(record);
    refuses(record, "a rank reserves the bundles of a group twice");
}

TEST_F(Forged, bundles_of_a_group_of_another) {
    RecordWriter record(Kind::hold_group);
    put_hold(record, 11);
    refuses(record, "a rank reserves bundles for a group of another");
}

TEST_F(Forged, end_of_a_group_of_another) {
    RecordWriter record(Kind::free_group);
    record.put(std::uint64_t{11});
    refuses(record, "a rank gives up bundles of a group of another");
}

TEST_F(Forged, demand_that_can_never_be_met) {
    const Ref<int> asked =
        remote<twice>({.resources = {{"seat", 4}}, .placement = Placement::on_rank(2)}, 1);
    stage.keep(asked);
    Record task = stage.engine.sent(Kind::task);
    stage.sent.push_back(key_of(task));
    const double four = 4, five = 5;
    const auto* const as_bytes = reinterpret_cast<const std::byte*>(&four);
    const auto at = std::search(task.begin(), task.end(), as_bytes, as_bytes + sizeof four);
    ASSERT_NE(at, task.end());
    std::memcpy(&*at, &five, sizeof five);
    stage.engine.give(task);
    EXPECT_NE(stage.engine.reason().find("which this rank never has"), std::string::npos);
}

TEST_F(Forged, end_of_the_driver_from_a_rank_without_it) {
    refuses(RecordWriter(Kind::finish), "a rank without the driver says that it is done");
}

}  // namespace
}  // namespace mobula::runtime::testing
