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

#include "runtime/records_cases.hpp"

// The address sanitizer's, where there is one.
extern "C" void __lsan_disable() __attribute__((weak));
extern "C" void __lsan_enable() __attribute__((weak));

namespace mobula::runtime::testing {
namespace {

using wire::Kind;
using wire::RecordReader;
using wire::RecordWriter;

int total(int a, int b) { return a + b; }

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

constexpr const char* failed_task = "a task failed";

bool is_blame(const std::string& reason) {
    return reason.find(" sent what rank 1 cannot accept: ") == std::string("rank 2").size();
}

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
    stage.engine.give(record, its_case().from);
    EXPECT_EQ(stage.engine.reason(), its_case().kind == Kind::broken ? "it is over" : "");
}

TEST_P(Records, that_end_early_end_the_job_with_a_sentence) {
    const std::size_t whole = length();
    for (std::size_t cut = 0; cut < whole; ++cut) {
        SCOPED_TRACE("cut at " + std::to_string(cut));
        const std::string reason = outcome([&](Record& record) { record.resize(cut); }, false);
        EXPECT_TRUE(reason == failed_task || is_blame(reason)) << reason;
    }
}

TEST_P(Records, with_random_bytes_harm_nobody) {
    for (unsigned seed = 0; seed < 100; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        std::mt19937 random(seed);
        const std::string reason = outcome(
            [&](Record& record) {
                constexpr std::size_t from = 1;  // another kind is another case
                if (record.size() == from) return;
                for (unsigned changes = 1 + random() % 3; changes > 0; --changes) {
                    const std::size_t at = from + random() % (record.size() - from);
                    record[at] = static_cast<std::byte>(random() % 2 == 0 ? random() : 0xff);
                }
            },
            true);
        EXPECT_TRUE(reason.empty() || reason == failed_task || its_case().kind == Kind::broken ||
                    is_blame(reason))
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
    const Ref<int> pending = remote<total>({.placement = Placement::on_rank(1)}, 1, 2);
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
