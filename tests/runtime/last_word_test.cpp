// SPDX-License-Identifier: Apache-2.0

// Goal: of all that ends a job only the first is told, and what follows from it is not. Method: one
// engine, whose peers are the test.

#include <gtest/gtest.h>

#include <string>

#include "runtime/lone_engine.hpp"

namespace mobula::runtime::testing {
namespace {

using wire::Kind;
using wire::RecordReader;
using wire::RecordWriter;

constexpr std::uint32_t nobody = ~std::uint32_t{0};

/// What a rank sends that knows why the job ends.
Record broken(int code, const std::string& why, bool said) {
    RecordWriter record(Kind::broken);
    record.put(code).text(why);
    record.put(nobody).put(static_cast<std::uint8_t>(said ? 1 : 0));
    return {record.span().begin(), record.span().end()};
}

TEST(LastWord, tells_the_first_cause_alone) {
    LoneEngine engine;
    engine->end_job("the first");
    engine->end_job("the second");
    EXPECT_EQ(engine.reason(), "the first");
}

TEST(LastWord, keeps_what_the_driver_does_after_a_cause_for_itself) {
    LoneEngine engine;
    engine.give(broken(1, "another one is lost", false));
    EXPECT_FALSE(engine->last_word.close(0, true));
    EXPECT_FALSE(engine->last_word.close(0, false));
}

TEST(LastWord, tells_nothing_after_the_end_of_the_driver) {
    LoneEngine engine;
    EXPECT_TRUE(engine->last_word.close(0, false));
    engine->end_job("too late");
    EXPECT_FALSE(engine->last_word.begun());
    EXPECT_EQ(engine.reason(), "");
}

TEST(LastWord, lets_those_go_that_know_another_cause_than_the_end_of_the_driver) {
    LoneEngine engine;
    EXPECT_TRUE(engine->last_word.close(0, true));
    engine.give(broken(3, "too late", false));
    const Record answer = engine.sent(Kind::broken);
    ASSERT_FALSE(answer.empty());
    RecordReader reader(answer);
    static_cast<void>(reader.get<Kind>());
    EXPECT_EQ(reader.get<int>(), 0) << "the code is that of the driver";
    EXPECT_EQ(reader.text(), "");
}

}  // namespace
}  // namespace mobula::runtime::testing
