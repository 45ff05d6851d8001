// SPDX-License-Identifier: Apache-2.0

/// How an object goes to another rank that is an argument there.

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <type_traits>

#include "runtime/records_stage.hpp"
#include "runtime/task_record.hpp"

namespace mobula::runtime::testing {
namespace {

using wire::Kind;

int five() { return 5; }
int twice(int n) { return 2 * n; }
int sum(const int& a, int b) { return a + b; }
std::size_t length(const std::string& text) { return text.size(); }
std::size_t length_of_many(std::array<char, 4000> text) { return text.size(); }
bool names(const Ref<int>& ref) { return ref.cell().get() != nullptr; }

struct Arguments : ::testing::Test {
    template <class... A>
    static bool are_bare(const Record& task, const A&... expected) {
        wire::RecordReader reader(task);
        static_cast<void>(reader.get<Kind>());
        const auto head = reader.get<wire::TaskHead>();
        if ((head.flags & wire::plain_arguments) == 0) return false;
        if ((head.flags & wire::has_options) != 0) static_cast<void>(read_extra(reader));
        for (std::size_t i = 0; i < sizeof...(A); ++i) {
            if (reader.get<std::uint8_t>() != 0) return false;
        }
        const bool equal = ((reader.get<A>() == expected) && ...);
        return equal && reader.rest().empty();
    }
    /// Whether the record names an object, of which its owner then hears again.
    static bool refers(const Record& task) {
        wire::RecordReader reader(task);
        static_cast<void>(reader.get<Kind>());
        return (reader.get<wire::TaskHead>().flags & wire::plain_arguments) == 0;
    }
    HeldForEver held;
    Stage stage;
};

TEST_F(Arguments, that_are_there_and_small_and_plain_go_as_their_values) {
    EXPECT_TRUE(are_bare(stage.task<twice>(put(7)), 7));
    EXPECT_TRUE(are_bare(stage.task<sum>(put(7), 8), 7, 8));
    EXPECT_TRUE(are_bare(stage.task<sum>(7, put(8)), 7, 8));
}

TEST_F(Arguments, that_were_made_by_a_task_go_as_their_values) {
    const Ref<int> made = remote<five>({.placement = Placement::on_rank(1)});
    stage.engine.settle();
    EXPECT_TRUE(are_bare(stage.task<twice>(made), 5));
}

TEST_F(Arguments, that_are_no_plain_small_values_go_as_references) {
    EXPECT_TRUE(refers(stage.task<length>(put(std::string("text")))));
    EXPECT_TRUE(refers(stage.task<length_of_many>(put(std::array<char, 4000>{}))));
    EXPECT_TRUE(refers(stage.task<names>(put(7)))) << "the function gets the Ref itself";
}

TEST_F(Arguments, leave_the_object_to_its_owner) {
    const Ref<int> seven = put(7);
    static_cast<void>(stage.task<twice>(seven));
    EXPECT_EQ(stage.engine->exchange.sums().owned, 0) << "no other rank has heard of it";
    EXPECT_EQ(get(seven), 7);
}

}  // namespace
}  // namespace mobula::runtime::testing
