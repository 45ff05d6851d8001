// SPDX-License-Identifier: Apache-2.0

// Goal: an argument of many objects holds each of them until its end, travels as their names in
// their order, and gives their values without taking them from others; a forged record makes
// neither an argument nor a leak. Method: arguments without a task, over objects of this process
// whose references are counted.

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <mobula/mobula.hpp>

#include "graph/object.hpp"

namespace mobula {
namespace {

using detail::ArgumentForm;
using detail::CellPtr;
using Texts = std::vector<std::string>;
using ByReference = detail::Parameter<const Texts&>;
using ByValue = detail::Parameter<Texts>;

Ref<std::string> ready(const std::string& text) {
    graph::Object* const object = graph::new_object(1);
    new (graph::make_place(*object, detail::type_info<std::string>)) std::string(text);
    graph::complete(*object);
    return Ref<std::string>(CellPtr(object));
}
std::uint32_t references(const Ref<std::string>& ref) { return (*ref.cell()).references.load(); }
std::vector<Ref<std::string>> three() {
    return {ready(std::string(100, 'a')), ready("b"), ready("c")};
}
const std::string& value_in(const Ref<std::string>& ref) {
    return *static_cast<const std::string*>(graph::Object::of(*ref.cell()).content.value);
}

std::vector<detail::Cell*> inputs_of(auto& parameter) {
    std::vector<detail::Cell*> cells;
    parameter.visit(
        [](detail::Input& input, void* context) {
            static_cast<std::vector<detail::Cell*>*>(context)->push_back(input.cell);
        },
        &cells);
    return cells;
}

TEST(gathered, each_object_is_held_until_the_argument_ends) {
    const auto refs = three();
    {
        ByReference parameter(refs);
        const std::vector<detail::Cell*> cells = inputs_of(parameter);
        ASSERT_EQ(cells.size(), 3U);
        for (std::size_t i = 0; i < 3; ++i) {
            EXPECT_EQ(cells[i], refs[i].cell().get());
            EXPECT_EQ(references(refs[i]), 2U);
        }
        EXPECT_FALSE(parameter.left_out());
        EXPECT_EQ(parameter.weight(), 0U);
    }
    for (const auto& ref : refs) EXPECT_EQ(references(ref), 1U);
}

TEST(gathered, names_travel_in_their_order) {
    const auto refs = three();
    detail::Writer writer;
    {
        const ByReference parameter(std::vector{refs[2], refs[0], refs[2]});
        parameter.encode_head(writer);
        parameter.encode_value(writer);
    }
    detail::Reader reader(writer.stream(), {}, writer.references());
    ByReference opened(reader);
    EXPECT_EQ(reader.left(), 0U);
    EXPECT_FALSE(opened.left_out());
    EXPECT_EQ(opened.take(false), (Texts{"c", std::string(100, 'a'), "c"}));
}

TEST(gathered, what_others_have_is_copied_and_what_nobody_has_is_moved) {
    const auto refs = three();
    ByValue shared(refs);
    EXPECT_EQ(shared.take(false).at(0), std::string(100, 'a'));
    EXPECT_EQ(value_in(refs[0]), std::string(100, 'a'));

    ByValue kept(three());
    EXPECT_EQ(kept.take(true), kept.take(true));
    const Texts moved = kept.take(false);
    EXPECT_EQ(moved.at(0), std::string(100, 'a'));
    EXPECT_EQ(kept.take(false).at(0), "");  // moved out before
}

TEST(gathered, values_by_reference_stay_for_another_attempt) {
    ByReference parameter(three());
    EXPECT_FALSE(parameter.loud());
    const Texts& first = parameter.take(true);
    const Texts& second = parameter.take(true);
    EXPECT_EQ(&first, &second);
    EXPECT_EQ(second.at(1), "b");
    EXPECT_TRUE(parameter.loud());  // it has values now, which a thread in the network may not end
}

TEST(gathered, a_span_shows_them) {
    detail::Parameter<std::span<const std::string>> parameter(three());
    const std::span<const std::string> shown = parameter.take(false);
    ASSERT_EQ(shown.size(), 3U);
    EXPECT_EQ(shown[2], "c");
}

TEST(gathered, one_that_names_nothing_is_named_and_none_is_kept) {
    auto refs = three();
    refs[1] = {};
    try {
        const ByReference parameter(refs);
        FAIL() << "an argument was made";
    } catch (const BadInput& error) {
        EXPECT_STREQ(error.what(),
                     "an argument: of its 3 Refs the one at index 1 is default-made and names "
                     "nothing");
    }
    EXPECT_EQ(references(refs[0]), 1U);
    EXPECT_EQ(references(refs[2]), 1U);
}

TEST(gathered, no_objects_are_an_empty_value) {
    detail::Writer writer;
    ByValue parameter(std::vector<Ref<std::string>>{});
    EXPECT_TRUE(inputs_of(parameter).empty());
    parameter.encode_head(writer);
    parameter.encode_value(writer);
    EXPECT_TRUE(writer.references().empty());
    EXPECT_TRUE(parameter.take(false).empty());
}

/// What a rank may be sent that no rank of one build sends.
template <class... Fields>
void refused(const std::vector<CellPtr>& named, Fields... fields) {
    detail::Writer writer;
    (writer.raw(fields), ...);
    detail::Reader reader(writer.stream(), {}, named);
    EXPECT_THROW({ const ByReference parameter(reader); }, Error);
}

TEST(gathered, forged_records_are_refused) {
    const auto refs = three();
    {
        const std::vector<CellPtr> named{refs[0].cell(), refs[1].cell()};
        refused(named, ArgumentForm::objects);
        refused(named, ArgumentForm::objects, std::uint32_t{0xffffffff}, std::uint32_t{0});
        refused(named, ArgumentForm::objects, std::uint32_t{3}, std::uint32_t{0}, std::uint32_t{1});
        refused(named, ArgumentForm::objects, std::uint32_t{2}, std::uint32_t{0}, std::uint32_t{2});
        refused(named, ArgumentForm::object, std::uint32_t{2});
        refused(named, std::uint8_t{3}, std::uint32_t{0});
    }
    for (const auto& ref : refs) EXPECT_EQ(references(ref), 1U);
}

}  // namespace
}  // namespace mobula
