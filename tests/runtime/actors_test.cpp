// SPDX-License-Identifier: Apache-2.0

// Goal: actors keep their promises in orders of events that a job meets only by chance. Method: an
// engine whose peers are the test, so that every record and every task runs when the test says so.

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include <mobula/mobula.hpp>

#include "runtime/lone_engine.hpp"

namespace mobula::runtime::testing {
namespace {

using graph::State;
using wire::Kind;
using wire::RecordReader;
using wire::RecordWriter;

int add(int a, int b) { return a + b; }

struct Unsendable {
    template <class Archive>
    void save(Archive&) const {
        throw Error("it cannot be sent");
    }
    template <class Archive>
    void load(Archive&) {}
};
struct Counter {
    explicit Counter(int start) : count(start) {}
    int add(int n) { return count += n; }
    int take(int n, const Unsendable&) { return count += n; }
    int count;
};

ActorOptions at(Rank rank) {
    return {.placement = Placement::on_rank(static_cast<unsigned>(index(rank)))};
}

constexpr ObjectId theirs{LoneEngine::peer, LoneEngine::incarnation(LoneEngine::peer), 7};

/// An object of rank 2 whose bytes are there.
Ref<int> located(LoneEngine& engine) {
    RecordWriter described(Kind::found);
    described.put(theirs).put(std::uint8_t{1});
    described.put(LoneEngine::peer).put(std::uint64_t{7}).put(std::uint64_t{100});
    RecordReader reader(described.span().subspan(1));
    return Ref<int>(engine->exchange.adopt(reader));
}
/// Its value comes.
void give_value(LoneEngine& engine, int value) {
    detail::Writer writer;
    detail::encode(writer, value);
    RecordWriter record(Kind::value);
    record.put(theirs).put(std::uint8_t{1});
    record.put(std::uint32_t{0}).put(std::uint32_t{0}).put(std::uint8_t{0});
    record.put(static_cast<std::uint32_t>(writer.stream().size()));
    record.bytes(writer.stream().data(), writer.stream().size());
    engine.give(record);
    engine.settle();
}

template <class T>
State state_of(const Ref<T>& ref) {
    return graph::state_of(graph::Object::of(*ref.cell().get()));
}

ObjectId id_of(LoneEngine& engine, const Actor<Counter>& actor) {
    return engine->exchange.publish(graph::Object::of(*actor.cell().get()));
}
/// Rank 2 will never answer what was sent to it.
void give_up(LoneEngine& engine, const Record& call) {
    RecordReader reader(call);
    static_cast<void>(reader.bytes(1 + sizeof(ObjectId) + 4 + 4));
    Task* const task = engine->dispatcher.find_sent(reader.get<TaskKey>(), LoneEngine::peer);
    ASSERT_NE(task, nullptr);
    engine->fail(*task, std::make_shared<graph::Failure>());
}
void give(LoneEngine& engine, Kind kind, const ObjectId& actor) {
    RecordWriter record(kind);
    record.put(actor);
    if (kind == Kind::kill_actor) record.text("no more");
    engine.give(record);
}

// The caller gives a call up that has its place in the mailbox and whose argument is still fetched.
TEST(actors, keep_a_cancelled_call_until_its_inputs_are_here) {
    LoneEngine engine;
    {
        const auto counter = spawn<Counter>(at(LoneEngine::self), 5);
        std::optional<Ref<int>> input = located(engine);
        const Ref<int> given_up = counter.call<&Counter::add>(*input);
        EXPECT_FALSE(engine.sent(Kind::fetch).empty());
        cancel(given_up);
        EXPECT_EQ(state_of(given_up), State::failed);
        const Ref<int> next = counter.call<&Counter::add>(1);
        input.reset();
        engine.settle();
        give_value(engine, 100);
        EXPECT_EQ(state_of(next), State::ready);
    }
    engine.settle();
    EXPECT_EQ(engine.reason(), "");
}

// Sending the first of two calls fails, and so the second one is ready, in the midst of it.
TEST(actors, send_a_call_that_became_ready_while_another_was_sent) {
    LoneEngine engine;
    {
        const auto counter = spawn<Counter>(at(LoneEngine::peer), 5);
        const Record spawned = engine.sent(Kind::spawn);
        const Ref<int> input = remote<add>({.placement = Placement::on_rank(1)}, 1, 2);
        const Ref<int> first = counter.call<&Counter::take>(input, Unsendable{});
        const Ref<int> second = counter.call<&Counter::add>(first);
        const Ref<int> third = counter.call<&Counter::add>(1);
        engine.settle();
        EXPECT_EQ(state_of(first), State::failed);
        const Record second_call = engine.sent(Kind::call);
        const Record third_call = engine.sent(Kind::call);
        ASSERT_FALSE(third_call.empty());
        EXPECT_GT(second_call.size(), third_call.size()) << "the second call brings a failure";
        for (const Record& sent : {spawned, second_call, third_call}) give_up(engine, sent);
        // The second call brought a reference to the first one's result along.
        RecordWriter release(Kind::release);
        release.put(engine->exchange.publish(graph::Object::of(*first.cell().get())));
        engine.give(release.put(std::int64_t{1}));
    }
    EXPECT_EQ(engine.reason(), "");
}

// Another rank's kill may overtake the constructor, and with it all that is known of the name.
TEST(actors, tell_the_owner_of_a_death_before_the_constructor_came) {
    LoneEngine engine;
    give(engine, Kind::kill_actor, theirs);
    const Record left = engine.sent(Kind::name);
    ASSERT_FALSE(left.empty());
    EXPECT_EQ(left.at(1), std::byte{0});
    EXPECT_EQ(std::memcmp(&left.at(2), &theirs, sizeof theirs), 0);
}

// A kill may also come after the end: only the owner's records are in order with that.
TEST(actors, are_forgotten_when_a_kill_comes_after_their_end) {
    LoneEngine engine;
    give(engine, Kind::end_actor, theirs);
    give(engine, Kind::kill_actor, theirs);
    EXPECT_FALSE(engine.sent(Kind::ask_actor).empty());
    give(engine, Kind::end_actor, theirs);  // as the owner answers
    give(engine, Kind::watch_actor, theirs);
    EXPECT_TRUE(engine.sent(Kind::actor_dead).empty()) << "its death is still noted";
    EXPECT_EQ(engine.reason(), "");
}

TEST(actors, are_ended_again_only_when_no_handle_is_left) {
    LoneEngine engine;
    ObjectId id{};
    {
        const auto counter = spawn<Counter>(at(LoneEngine::peer), 5);
        id = id_of(engine, counter);
        give(engine, Kind::ask_actor, id);
        EXPECT_TRUE(engine.sent(Kind::end_actor).empty());
        give_up(engine, engine.sent(Kind::spawn));
    }
    EXPECT_FALSE(engine.sent(Kind::end_actor).empty());
    EXPECT_TRUE(engine.sent(Kind::end_actor).empty());
    give(engine, Kind::ask_actor, id);
    EXPECT_FALSE(engine.sent(Kind::end_actor).empty());
}

TEST(actors, tell_a_rank_once_of_a_death) {
    LoneEngine engine;
    give(engine, Kind::watch_actor, theirs);
    give(engine, Kind::watch_actor, theirs);
    give(engine, Kind::kill_actor, theirs);
    EXPECT_FALSE(engine.sent(Kind::actor_dead).empty());
    EXPECT_TRUE(engine.sent(Kind::actor_dead).empty());
}

/// Rank 0's answer to the one question that it was asked.
bool answer(LoneEngine& engine, bool given) {
    const Record question = engine.told(Kind::name);
    if (question.empty() || question.at(1) != std::byte{1}) return false;
    RecordReader reader(question);
    static_cast<void>(reader.bytes(2));
    RecordWriter record(Kind::named);
    record.put(static_cast<std::uint8_t>(given)).put(reader.get<ObjectId>()).text(reader.text());
    engine.give(record);
    return true;
}
ActorOptions named(Rank rank, const char* name) {
    ActorOptions options = at(rank);
    options.name = name;
    return options;
}

TEST(actors, begin_when_their_name_is_known_to_be_theirs) {
    LoneEngine engine;
    {
        const auto counter = spawn<Counter>(named(LoneEngine::peer, "Ada"), 5);
        const Ref<int> first = counter.call<&Counter::add>(1);
        EXPECT_TRUE(engine.sent(Kind::spawn).empty());
        EXPECT_TRUE(engine.sent(Kind::call).empty());
        ASSERT_TRUE(answer(engine, true));
        const Record spawned = engine.sent(Kind::spawn);
        const Record called = engine.sent(Kind::call);
        ASSERT_FALSE(called.empty());
        for (const Record& sent : {spawned, called}) give_up(engine, sent);
        // Here, with an argument that is still to come.
        const Ref<int> input = remote<add>({.placement = Placement::on_rank(1)}, 1, 2);
        const auto own = spawn<Counter>(named(LoneEngine::self, "Eve"), input);
        const Ref<int> count = own.call<&Counter::add>(1);
        ASSERT_TRUE(answer(engine, true));
        engine.settle();
        ASSERT_EQ(state_of(count), State::ready);
        EXPECT_EQ(get(count), 4);
    }
    EXPECT_EQ(engine.reason(), "");
}

TEST(actors, never_begin_when_another_has_their_name) {
    for (const Rank rank : {LoneEngine::self, LoneEngine::peer}) {
        LoneEngine engine;
        {
            const auto counter = spawn<Counter>(named(rank, "Ada"), 5);
            const Ref<int> first = counter.call<&Counter::add>(1);
            engine.settle();
            EXPECT_EQ(state_of(counter.ready()), State::pending);
            ASSERT_TRUE(answer(engine, false));
            EXPECT_EQ(state_of(counter.ready()), State::failed);
            EXPECT_EQ(state_of(first), State::failed);
            EXPECT_THROW(get(first), ActorDied);
            EXPECT_THROW(get(counter.ready()), ActorDied);
            EXPECT_TRUE(engine.sent(Kind::spawn).empty());
            EXPECT_EQ(engine.sent(Kind::kill_actor).empty(), rank == LoneEngine::self);
            EXPECT_TRUE(engine.told(Kind::name).empty()) << "a name was left that it never had";
        }
        {
            const auto heir = spawn<Counter>(named(LoneEngine::self, "Ada"), 5);
            ASSERT_TRUE(answer(engine, true));
            engine.settle();
            EXPECT_EQ(state_of(heir.ready()), State::ready);
        }
        EXPECT_EQ(engine.reason(), "");
    }
}

TEST(actors, that_are_killed_before_they_have_their_name_leave_it) {
    for (const Rank rank : {LoneEngine::self, LoneEngine::peer}) {
        LoneEngine engine;
        {
            const auto counter = spawn<Counter>(named(rank, "Ada"), 5);
            const ObjectId id = id_of(engine, counter);
            const Record question = engine.told(Kind::name);
            kill(counter);
            if (rank == LoneEngine::peer) {  // as it does
                EXPECT_FALSE(engine.sent(Kind::kill_actor).empty());
                RecordWriter left(Kind::name);
                engine.give(left.put(std::uint8_t{0}).put(id).text({}));
                RecordWriter dead(Kind::actor_dead);
                detail::Writer why;
                died("it was killed")->encode(why);
                engine.give(dead.put(id).bytes(why.stream().data(), why.stream().size()));
            }
            EXPECT_EQ(state_of(counter.ready()), State::failed);
            const Record leaving = engine.told(Kind::name);
            ASSERT_FALSE(leaving.empty());
            EXPECT_EQ(leaving.at(1), std::byte{0});
            const auto heir = spawn<Counter>(named(LoneEngine::self, "Ada"), 5);
            RecordWriter late(Kind::named);
            engine.give(late.put(std::uint8_t{1}).put(id).text("Ada"));
            EXPECT_TRUE(engine.sent(Kind::spawn).empty());
            ASSERT_TRUE(answer(engine, true));
            engine.settle();
            EXPECT_EQ(state_of(heir.ready()), State::ready);
        }
        engine.settle();
        EXPECT_EQ(engine.reason(), "");
    }
}

// The job ends before rank 0 has answered.
TEST(actors, are_freed_while_they_wait_for_their_name) {
    LoneEngine engine;
    const auto counter = spawn<Counter>(named(LoneEngine::peer, "Ada"), 5);
    const Ref<int> call = counter.call<&Counter::add>(1);
    engine.settle();
    engine->actors.drain();
    ASSERT_TRUE(answer(engine, false));
    EXPECT_EQ(state_of(call), State::pending);
    EXPECT_EQ(engine.reason(), "");
}

}  // namespace
}  // namespace mobula::runtime::testing
