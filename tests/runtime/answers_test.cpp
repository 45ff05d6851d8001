// SPDX-License-Identifier: Apache-2.0

/// What a rank answers to another one that asks for one of its objects.

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "runtime/records_stage.hpp"

namespace mobula::runtime::testing {
namespace {

using wire::Kind;

int five() { return 5; }

struct Answers : ::testing::Test {
    /// Rank 2 asks where the object is, and not for its value.
    void ask_for_place(const ObjectId& object) {
        stage.engine.give(wire::Written(wire::Subscribe{object, false}));
    }
    HeldForEver held;
    Stage stage;
};

TEST_F(Answers, to_a_question_for_the_place_of_a_small_value_is_the_value) {
    ask_for_place(stage.shared(put(5)));
    EXPECT_FALSE(stage.engine.sent(Kind::value).empty());
    EXPECT_TRUE(stage.engine.sent(Kind::done).empty());
}

TEST_F(Answers, of_one_that_is_still_made_is_its_value_once_it_is) {
    ask_for_place(stage.shared(remote<five>({.placement = Placement::on_rank(1)})));
    EXPECT_FALSE(stage.engine.sent(Kind::value).empty());
    EXPECT_TRUE(stage.engine.sent(Kind::done).empty());
}

TEST_F(Answers, to_a_question_for_the_place_of_a_large_value_is_the_place) {
    ask_for_place(stage.shared(put(std::string(5000, 'x'))));
    EXPECT_TRUE(stage.engine.sent(Kind::value).empty());
    EXPECT_FALSE(stage.engine.sent(Kind::done).empty());
}

TEST_F(Answers, of_a_value_that_was_moved_out_is_a_place_where_nothing_can_be_got) {
    const Ref<std::unique_ptr<int>> once = put(std::make_unique<int>(5));
    const ObjectId object = stage.shared(once);
    static_cast<void>(get(once));
    ask_for_place(object);
    EXPECT_TRUE(stage.engine.sent(Kind::value).empty());
    EXPECT_FALSE(stage.engine.sent(Kind::done).empty());
}

}  // namespace
}  // namespace mobula::runtime::testing
