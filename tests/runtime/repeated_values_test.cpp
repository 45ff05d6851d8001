// SPDX-License-Identifier: Apache-2.0
/// Goal: only the same large arguments of the same function are counted, and a function is told of
/// once. Method: encoded arguments by hand; the log of real ranks is in tests/system.
#include "runtime/repeated_values.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace mobula::runtime {
namespace {

constexpr std::size_t large = 1 << 20U;

/// A table of so many words, then a seed, as `f(table, seed)` is encoded.
bool note(RepeatedValues& values, std::uint32_t function, std::uint64_t filling,
          std::uint64_t seed) {
    detail::Writer writer;
    const std::vector<std::uint64_t> table(large / 8, filling);
    writer.bytes(table.data(), large);
    writer.raw(seed);
    const std::size_t bytes = RepeatedValues::bytes_sent(writer, false);
    return values.large(bytes) && values.note(function, bytes, writer);
}

TEST(RepeatedValues, AreToldOfOnceForAFunction) {
    RepeatedValues values(large);
    for (unsigned i = 1; i <= 20; ++i) {
        EXPECT_EQ(note(values, 1, 7, i), i == RepeatedValues::repeats_before_warning) << i;
    }
    for (unsigned i = 1; i <= 20; ++i) EXPECT_FALSE(note(values, 1, 8, i));
    for (unsigned i = 1; i <= 20; ++i) {
        EXPECT_EQ(note(values, 2, 7, i), i == RepeatedValues::repeats_before_warning) << i;
    }
}

TEST(RepeatedValues, OthersAreNot) {
    RepeatedValues values(large);
    for (unsigned i = 0; i < 50; ++i) EXPECT_FALSE(note(values, 1, i, 0)) << "other tables";
    for (unsigned i = 0; i < 50; ++i) EXPECT_FALSE(note(values, i, 7, 0)) << "other functions";
}

TEST(RepeatedValues, OnesThatDifferInOneWordAreNotTheSame) {
    RepeatedValues values(large);
    std::vector<std::uint64_t> table(large / 8, 7);
    for (unsigned i = 0; i < 50; ++i) {
        table[1001] = i;
        detail::Writer writer;
        writer.bytes(table.data(), large);
        EXPECT_FALSE(values.note(1, large, writer)) << i;
    }
}

TEST(RepeatedValues, SmallOnesAreNotLookedAt) {
    const RepeatedValues values(large);
    EXPECT_FALSE(values.large(large - 1));
    EXPECT_TRUE(values.large(large));
    const RepeatedValues never(0);
    EXPECT_FALSE(never.large(std::size_t{1} << 40U));
}

TEST(RepeatedValues, TheSentenceSaysWhatToDo) {
    const std::string sentence = RepeatedValues::warning("train", 12'300'000);
    EXPECT_THAT(sentence, testing::HasSubstr("train got the same 12.3 MB by value 5 times"));
    EXPECT_THAT(sentence, testing::HasSubstr("put() the value once and pass the Ref"));
}

}  // namespace
}  // namespace mobula::runtime
