// SPDX-License-Identifier: Apache-2.0

// Goal: whatever bytes come from another rank, the engine ends the job with a sentence or goes on,
// and reads nothing beyond them. Method: for every kind of record one that is right, most of them
// sent by the engine itself, to an engine that knows what the record speaks of; then the same cut
// off at every length, and with random bytes changed. Run under the address sanitizer, it also
// finds what is read out of bounds and what a cut record leaks.

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <mobula/mobula.hpp>

#include "runtime/records_stage.hpp"

// The address sanitizer's, where there is one.
extern "C" void __lsan_disable() __attribute__((weak));
extern "C" void __lsan_enable() __attribute__((weak));

namespace mobula::runtime::testing {
namespace {

using wire::Kind;
using wire::RecordReader;
using wire::RecordWriter;

int add(int a, int b) { return a + b; }
std::string repeat(const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times && i < 3; ++i) all += text;
    return all;
}
std::size_t size_of(const Array<char>& bytes) { return bytes.size(); }
Generator<int> one_item(int n) { co_yield n; }
struct Counter {
    explicit Counter(int start) : count(start) {}
    int add(int n) { return count += n; }
    int count;
};

ActorOptions actor_there() { return {.placement = Placement::on_rank(2)}; }

/// What is allocated meanwhile is no leak: what rank 2 holds when the engine ends is kept for good,
/// and what a job that cannot go on leaves in memory goes with its process.
class Unleaked {
public:
    Unleaked() {
        if (__lsan_disable != nullptr) __lsan_disable();
    }
    ~Unleaked() {
        if (__lsan_enable != nullptr) __lsan_enable();
    }
    Unleaked(const Unleaked&) = delete;
    Unleaked& operator=(const Unleaked&) = delete;
};

/// One record that is right, made on a stage that is ready for it.
struct Case {
    Kind kind;
    std::function<Record(Stage&)> make;
};

std::multimap<std::string, Case> all_cases() {
    using S = Stage&;
    std::multimap<std::string, Case> all;
    const auto row = [&](const char* name, Kind kind, std::function<Record(S)> make) {
        all.emplace(name, Case{kind, std::move(make)});
    };
    row("task_plain", Kind::task, [](S s) { return s.task<add>(1, 2); });
    row("task_reference", Kind::task, [](S s) { return s.task<add>(put(1), 2); });
    row("task_blocks", Kind::task, [](S s) { return s.task<size_of>(Array<char>({70'000})); });
    row("task_stream_block", Kind::task,
        [](S s) { return s.task<repeat>(std::string(50'000, 'x'), 2); });
    row("task_of_a_stream", Kind::task, [](S s) { return s.task<one_item>(3); });
    row("spawn", Kind::spawn, [](S s) {
        s.keep(spawn<Counter>(actor_there(), 5));
        return s.engine.sent(Kind::spawn);
    });
    row("call", Kind::call, [](S s) {
        const auto counter = spawn<Counter>(actor_there(), 5);
        s.keep(counter);
        s.engine.give(s.engine.sent(Kind::spawn));
        s.engine.settle();
        s.keep(counter.call<&Counter::add>(1));
        return s.engine.sent(Kind::call);
    });
    row("result_plain", Kind::result, [](S s) {
        RecordWriter record(Kind::result);
        start_result(record, Result::plain, key_of(s.task<add>(1, 2))).put(3);
        return bytes_of(record);
    });
    row("result_encoded", Kind::result, [](S s) {
        RecordWriter record(Kind::result);
        start_result(record, Result::encoded, key_of(s.task<repeat>("x", 2)));
        record.put(std::uint8_t{0});
        put_form(record, "xx");
        return bytes_of(record);
    });
    row("result_located", Kind::result, [](S s) {
        RecordWriter record(Kind::result);
        start_result(record, Result::located, key_of(s.task<repeat>("x", 2)));
        record.put(std::uint64_t{9}).put(std::uint64_t{100});
        return bytes_of(record);
    });
    row("result_failed", Kind::result, [](S s) {
        RecordWriter record(Kind::result);
        start_result(record, Result::failed, key_of(s.task<repeat>("x", 2)));
        put_failure(record, false);
        return bytes_of(record);
    });
    row("recall", Kind::recall, [](S s) {
        s.engine.give(s.task<add>(1, 2));
        RecordWriter record(Kind::recall);
        record.put(std::uint32_t{5}).put(std::uint32_t{2});
        return bytes_of(record);
    });
    row("room", Kind::room, [](S) { return bytes_of(RecordWriter(Kind::room)); });
    row("returned", Kind::returned, [](S s) {
        RecordWriter record(Kind::returned);
        const TaskKey first = key_of(s.task<add>(1, 2)), second = key_of(s.task<add>(3, 4));
        record.put(std::uint32_t{0}).put(std::uint32_t{1});
        record.put(std::uint32_t{2}).put(first).put(second);
        return bytes_of(record);
    });
    row("cancel", Kind::cancel, [](S s) {
        const Record task = s.task<add>(1, 2);
        s.engine.give(task);
        RecordWriter record(Kind::cancel);
        record.put(key_of(task)).put(std::uint8_t{1});
        return bytes_of(record);
    });
    const auto with_own = [](Kind kind, std::function<void(S, RecordWriter&)> rest) {
        return [kind, rest](S s) {
            RecordWriter record(kind);
            record.put(s.shared(put(std::string("of rank 1"))));
            rest(s, record);
            return bytes_of(record);
        };
    };
    row("cancel_object", Kind::cancel_object, [](S s) {
        const Ref<int> made = remote<add>({.placement = Placement::on_rank(1)}, 1, 2);
        RecordWriter record(Kind::cancel_object);
        record.put(s.shared(made)).put(std::uint8_t{1});
        return bytes_of(record);
    });
    row("subscribe", Kind::subscribe,
        with_own(Kind::subscribe, [](S, RecordWriter& record) { record.put(std::uint8_t{1}); }));
    row("subscribe_early", Kind::subscribe, [](S s) {
        const Ref<int> made = remote<add>({.placement = Placement::on_rank(1)}, 1, 2);
        RecordWriter record(Kind::subscribe);
        record.put(s.shared(made)).put(std::uint8_t{1});
        return bytes_of(record);
    });
    row("grant", Kind::grant,
        with_own(Kind::grant, [](S, RecordWriter& record) { record.put(LoneEngine::driver); }));
    row("release", Kind::release,
        with_own(Kind::release, [](S, RecordWriter& record) { record.put(std::int64_t{1}); }));
    row("fetch", Kind::fetch, [](S s) {
        const ObjectId own = s.shared(put(std::string("of rank 1")));
        RecordWriter record(Kind::fetch);
        record.put(theirs).put(own.serial);
        return bytes_of(record);
    });
    row("drop", Kind::drop, [](S s) {
        const Ref<int> copy = put(5);
        RecordWriter record(Kind::drop);
        record.put(s.engine->exchange.keep_copy(graph::Object::of(*copy.cell().get()),
                                                std::make_unique<graph::Encoded>()));
        return bytes_of(record);
    });
    row("done_located", Kind::done, [](S s) {
        s.held();
        RecordWriter record(Kind::done);
        record.put(theirs).put(std::uint8_t{0});
        record.put(LoneEngine::peer).put(std::uint64_t{7}).put(std::uint64_t{100});
        return bytes_of(record);
    });
    row("done_failed", Kind::done, [](S s) {
        s.held();
        RecordWriter record(Kind::done);
        record.put(theirs).put(std::uint8_t{1});
        put_failure(record, true);
        return bytes_of(record);
    });
    row("value", Kind::value, [](S s) {
        s.held();
        RecordWriter record(Kind::value);
        record.put(theirs).put(std::uint8_t{1});
        put_form(record, "a value");
        return bytes_of(record);
    });
    row("value_refused", Kind::value, [](S s) {
        s.held();
        RecordWriter record(Kind::value);
        record.put(theirs).put(std::uint8_t{0});
        put_failure(record, true);
        return bytes_of(record);
    });
    const auto with_actor = [](Kind kind, std::function<void(RecordWriter&)> rest) {
        return [kind, rest](S s) {
            const auto counter = spawn<Counter>(actor_there(), 5);
            s.keep(counter);
            s.engine.give(s.engine.sent(Kind::spawn));
            s.engine.settle();
            RecordWriter record(kind);
            record.put(s.engine->exchange.publish(graph::Object::of(*counter.cell().get())));
            rest(record);
            return bytes_of(record);
        };
    };
    row("end_actor", Kind::end_actor, with_actor(Kind::end_actor, [](RecordWriter&) {}));
    row("kill_actor", Kind::kill_actor,
        with_actor(Kind::kill_actor, [](RecordWriter& record) { record.text("no more"); }));
    row("watch_actor", Kind::watch_actor, with_actor(Kind::watch_actor, [](RecordWriter&) {}));
    row("ask_actor", Kind::ask_actor, with_actor(Kind::ask_actor, [](RecordWriter&) {}));
    row("actor_dead", Kind::actor_dead,
        with_actor(Kind::actor_dead, [](RecordWriter& record) { put_failure(record, false); }));
    row("name", Kind::name, [](S) {
        RecordWriter record(Kind::name);
        record.put(std::uint8_t{1}).put(theirs).text("Ada");
        return bytes_of(record);
    });
    row("name_left", Kind::name, [](S s) {
        RecordWriter enters(Kind::name);
        enters.put(std::uint8_t{1}).put(theirs).text("Ada");
        s.engine.give(enters);
        RecordWriter record(Kind::name);
        record.put(std::uint8_t{0}).put(theirs).text("Ada");
        return bytes_of(record);
    });
    for (const bool given : {false, true}) {
        row(given ? "named" : "named_refused", Kind::named, [given](S s) {
            ActorOptions options = actor_there();
            options.name = "Ada";
            const auto counter = spawn<Counter>(options, 5);
            s.keep(counter);
            RecordWriter record(Kind::named);
            record.put(static_cast<std::uint8_t>(given));
            record.put(s.engine->exchange.publish(graph::Object::of(*counter.cell().get())));
            record.text("Ada");
            return bytes_of(record);
        });
    }
    row("find", Kind::find, [](S s) {
        RecordWriter enters(Kind::name);
        enters.put(std::uint8_t{1}).put(s.shared(put(1))).text("Ada");
        s.engine.give(enters);
        RecordWriter record(Kind::find);
        record.put(ObjectId{}).put(LoneEngine::peer).put(std::uint64_t{1}).text("Ada");
        return bytes_of(record);
    });
    row("find_at_owner", Kind::find, [](S s) {
        RecordWriter record(Kind::find);
        record.put(s.shared(put(1))).put(LoneEngine::peer).put(std::uint64_t{1}).text({});
        return bytes_of(record);
    });
    row("found", Kind::found, [](S) {
        RecordWriter record(Kind::found);
        record.put(std::uint64_t{1}).put(std::uint8_t{1}).put(theirs).put(std::uint8_t{4});
        record.put(LoneEngine::peer);
        return bytes_of(record);
    });
    const auto item = [](S s, std::uint8_t form) {
        RecordWriter record(Kind::item);
        record.put(key_of(s.task<one_item>(3))).put(form);
        if (form != 0) {
            record.put(std::uint64_t{9}).put(std::uint64_t{100});
        } else {
            record.put(std::uint8_t{0});
            put_form(record, "an item");
        }
        return bytes_of(record);
    };
    row("item_encoded", Kind::item, [item](S s) { return item(s, 0); });
    row("item_located", Kind::item, [item](S s) { return item(s, 1); });
    row("consumed", Kind::consumed, [](S s) {
        const Record task = s.task<one_item>(3);
        s.engine.give(task);
        RecordWriter record(Kind::consumed);
        record.put(key_of(task));
        return bytes_of(record);
    });
    row("hold_group", Kind::hold_group, [](S) {
        RecordWriter record(Kind::hold_group);
        record.put(std::uint64_t{11}).put(std::uint32_t{1}).put(0U);
        scheduler::Amounts(1, 0, {{"seat", 2}}).encode(record);
        return bytes_of(record);
    });
    row("held_group", Kind::held_group, [](S s) {
        auto group = std::make_unique<PlacementGroup>(
            std::vector<Resources>{{{"seat", 3}}, {{"seat", 3}}, {{"seat", 3}}});
        RecordWriter record(Kind::held_group);
        record.put(group->bundle(0).group);
        s.keep(std::move(group));
        s.engine.give(record, LoneEngine::driver);  // whose turn is before rank 2's
        return bytes_of(record);
    });
    row("free_group", Kind::free_group, [](S s) {
        RecordWriter hold(Kind::hold_group);
        hold.put(std::uint64_t{11}).put(std::uint32_t{1}).put(0U);
        scheduler::Amounts(1, 0, {{"seat", 2}}).encode(hold);
        s.engine.give(hold);
        RecordWriter record(Kind::free_group);
        record.put(std::uint64_t{11});
        return bytes_of(record);
    });
    row("output", Kind::output, [](S) {
        RecordWriter record(Kind::output);
        record.text("a line\n");
        return bytes_of(record);
    });
    for (const Kind kind : {Kind::ask_output, Kind::output_done}) {
        row(kind == Kind::ask_output ? "ask_output" : "output_done", kind, [kind](S) {
            RecordWriter record(kind);
            record.put(std::uint64_t{1});
            return bytes_of(record);
        });
    }
    row("stalled", Kind::stalled, [](S) { return bytes_of(RecordWriter(Kind::stalled)); });
    row("waits", Kind::waits, [](S) {
        RecordWriter record(Kind::waits);
        record.put(std::uint8_t{0}).put(std::uint32_t{2});
        const Waiting one{"a", "f", 2, "waits", 1, false, {{"b", "g"}, {"c", "h"}}};
        one.encode(record);
        one.encode(record);
        return bytes_of(record);
    });
    row("finish", Kind::finish, [](S) { return bytes_of(RecordWriter(Kind::finish)); });
    row("broken", Kind::broken, [](S) {
        RecordWriter record(Kind::broken);
        record.put(3).text("it is over").put(std::uint32_t{2}).put(std::uint8_t{0});
        return bytes_of(record);
    });
    return all;
}

/// The record's kind, and which function it names, are left as they are: another kind is another
/// case, and which function shall run nobody can check.
std::size_t changed_from(const Record& record) {
    switch (static_cast<Kind>(record.front())) {
        case Kind::task: return 5;
        case Kind::spawn:
        case Kind::call: return 5 + sizeof(ObjectId);
        default: return 1;
    }
}

constexpr const char* failed_task = "a task failed";

class Records : public ::testing::TestWithParam<std::string> {
protected:
    static const Case& its_case() {
        static const auto all = all_cases();
        return all.find(GetParam())->second;
    }
    /// How the job ended, if it did.
    static std::string outcome(const std::function<void(Record&)>& change, bool leaks) {
        std::optional<Unleaked> unleaked(std::in_place);
        Stage stage;
        Record record = its_case().make(stage);
        change(record);
        if (!leaks) unleaked.reset();
        stage.engine.give(record);
        std::string reason = stage.engine.reason();
        // What its arguments lack fails a task only.
        if (reason.empty() && stage.engine.has_failed_a_task()) reason = failed_task;
        if (!leaks) unleaked.emplace();
        return reason;
    }
    static std::size_t length() {
        const Unleaked unleaked;
        Stage stage;
        return its_case().make(stage).size();
    }
};

TEST_P(Records, are_accepted_whole) {
    const Unleaked unleaked;
    Stage stage;
    const Record record = its_case().make(stage);
    ASSERT_FALSE(record.empty());
    ASSERT_EQ(static_cast<Kind>(record.front()), its_case().kind);
    ASSERT_EQ(stage.engine.reason(), "") << "before the record";
    stage.engine.give(record);
    EXPECT_EQ(stage.engine.reason(), its_case().kind == Kind::broken ? "it is over" : "");
}

TEST_P(Records, that_end_early_end_the_job_with_a_sentence) {
    const std::size_t whole = length();
    for (std::size_t cut = 0; cut < whole; ++cut) {
        SCOPED_TRACE("cut at " + std::to_string(cut));
        const std::string reason = outcome([&](Record& record) { record.resize(cut); }, false);
        EXPECT_TRUE(reason == failed_task ||
                    reason.find("rank 2 sent what rank 1 cannot accept: ") == 0)
            << reason;
    }
}

TEST_P(Records, with_random_bytes_harm_nobody) {
    for (unsigned seed = 0; seed < 100; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        std::mt19937 random(seed);
        const std::string reason = outcome(
            [&](Record& record) {
                const std::size_t from = changed_from(record);
                if (record.size() == from) return;
                for (unsigned changes = 1 + random() % 3; changes > 0; --changes) {
                    const std::size_t at = from + random() % (record.size() - from);
                    record[at] = static_cast<std::byte>(random() % 2 == 0 ? random() : 0xff);
                }
            },
            true);
        EXPECT_TRUE(reason.empty() || reason == failed_task || its_case().kind == Kind::broken ||
                    reason.find("rank 2 sent what rank 1 cannot accept: ") == 0)
            << reason;
    }
}

std::vector<std::string> names() {
    std::vector<std::string> names;
    for (const auto& [name, each] : all_cases()) names.push_back(name);
    return names;
}
INSTANTIATE_TEST_SUITE_P(all, Records, ::testing::ValuesIn(names()),
                         [](const auto& info) { return info.param; });

TEST(records, of_every_kind_are_tried) {
    std::vector<bool> tried(static_cast<std::size_t>(Kind::broken) + 1);
    for (const auto& [name, each] : all_cases()) tried[static_cast<std::size_t>(each.kind)] = true;
    for (std::size_t kind = 0; kind < tried.size(); ++kind) EXPECT_TRUE(tried[kind]) << kind;
}

// A rank may have been told of a place before the bytes there turned out to be no value.
TEST(records, that_fetch_what_is_not_there_are_answered) {
    const Unleaked unleaked;
    Stage stage;
    const Ref<int> pending = remote<add>({.placement = Placement::on_rank(1)}, 1, 2);
    const ObjectId id = stage.shared(pending);
    const auto fetched = [&] {
        RecordWriter fetch(Kind::fetch);
        fetch.put(theirs).put(id.serial);
        stage.engine.give(fetch);
        const Record answer = stage.engine.sent(Kind::value);
        return !answer.empty() && answer.at(1 + sizeof(ObjectId)) == std::byte{1};
    };
    Task* const task = stage.engine->team.take_any();
    ASSERT_NE(task, nullptr);
    EXPECT_FALSE(fetched());
    stage.engine->fail(*task, std::make_shared<graph::Failure>());
    EXPECT_FALSE(fetched());
    EXPECT_EQ(stage.engine.reason(), "");
}

TEST(records, whose_value_finds_no_room_fail_their_object) {
    const Unleaked unleaked;
    Stage stage;
    const graph::Object& object = stage.held();
    RecordWriter record(Kind::value);
    record.put(theirs).put(std::uint8_t{1}).put(std::uint32_t{0}).put(std::uint32_t{0});
    record.put(std::uint8_t{1}).put(std::uint64_t{0}).put(std::uint64_t{1} << 20U);
    stage.engine.give(record);
    ASSERT_EQ(graph::state_of(object), graph::State::failed);
    EXPECT_EQ(graph::failure_of(object)->kind, graph::FailureKind::store_full);
    EXPECT_EQ(stage.engine.reason(), "");
}

TEST(records, of_no_known_kind_end_the_job) {
    for (unsigned kind = static_cast<unsigned>(Kind::broken) + 1; kind < 256; ++kind) {
        LoneEngine engine;
        engine.give(Record(9, static_cast<std::byte>(kind)));
        EXPECT_NE(engine.reason().find("a record of no known kind"), std::string::npos);
    }
}

}  // namespace
}  // namespace mobula::runtime::testing
