// SPDX-License-Identifier: Apache-2.0
#include "runtime/records_cases.hpp"

#include <memory>
#include <utility>
#include <vector>

#include <mobula/mobula.hpp>

namespace mobula::runtime::testing {

using wire::Kind;
using wire::RecordReader;
using wire::RecordWriter;

namespace {

constexpr std::uint64_t group_of_peer = (std::uint64_t{2} << core::group_number_bits) | 11U;

// Whatever the arguments, these are defined.
int add(int a, int b) {
    return static_cast<int>(static_cast<unsigned>(a) + static_cast<unsigned>(b));
}
std::string repeat(const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times && i < 3; ++i) all += text;
    return all;
}
std::size_t size_of(const Array<char>& bytes) { return bytes.size(); }
Generator<int> one_item(int n) { co_yield n; }
struct Counter {
    explicit Counter(int start) : count(start) {}
    int add(int n) { return count = testing::add(count, n); }
    int count;
};

ActorOptions actor_there() { return {.placement = Placement::on_rank(2)}; }

}  // namespace

std::multimap<std::string, Case> all_cases() {
    using S = Stage&;
    std::multimap<std::string, Case> all;
    const auto row = [&](const char* name, Kind kind, std::function<Record(S)> make) {
        all.emplace(name, Case{.kind = kind, .make = std::move(make)});
    };
    row("task_plain", Kind::task, [](S s) { return s.task<add>(1, 2); });
    row("task_reference", Kind::task,
        [](S s) { return s.task<repeat>(put(std::string("text")), 2); });
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
        // Some of these go to rank 2, and may come back from there.
        for (int n = 0; n < 12; ++n) s.keep(remote<add>(n, 2));
        const TaskKey key = key_of(s.engine.sent(Kind::task));
        s.sent.push_back(key);
        record.put(std::uint32_t{0}).put(std::uint32_t{1}).put(std::uint32_t{1}).put(key);
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
        record.put(group_of_peer).put(std::uint32_t{1}).put(0U);
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
        hold.put(group_of_peer).put(std::uint32_t{1}).put(0U);
        scheduler::Amounts(1, 0, {{"seat", 2}}).encode(hold);
        s.engine.give(hold);
        RecordWriter record(Kind::free_group);
        record.put(group_of_peer);
        return bytes_of(record);
    });
    row("output", Kind::output, [](S) {
        RecordWriter record(Kind::output);
        record.text("a line\n");
        return bytes_of(record);
    });
    row("ask_output", Kind::ask_output, [](S) {
        RecordWriter record(Kind::ask_output);
        record.put(std::uint64_t{1});
        return bytes_of(record);
    });
    row("output_done", Kind::output_done, [](S) {
        RecordWriter record(Kind::output_done);
        record.put(std::uint64_t{1});
        return bytes_of(record);
    });
    row("handles", Kind::handles, [](S) {
        RecordWriter record(Kind::handles);
        record.put(std::uint32_t{1});
        Waiting{"object 1:1", "an actor", 1, {}, 0, false, {{"object 1:2", {}}}}.encode(record);
        return bytes_of(record);
    });
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
    all.find("finish")->second.from = LoneEngine::driver;  // as it happens, the only one
    row("broken", Kind::broken, [](S) {
        RecordWriter record(Kind::broken);
        record.put(3).text("it is over").put(std::uint32_t{2}).put(std::uint8_t{0});
        return bytes_of(record);
    });
    return all;
}

}  // namespace mobula::runtime::testing
