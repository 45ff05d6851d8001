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

struct Counter {
    explicit Counter(int start) : count(start) {}
    int add(int n) { return count += n; }
    int count;
};

ActorOptions at(Rank rank) {
    return {.placement = Placement::on_rank(static_cast<unsigned>(index(rank)))};
}

constexpr ObjectId theirs{LoneEngine::peer, {}, 7};

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

}  // namespace
}  // namespace mobula::runtime::testing
