// SPDX-License-Identifier: Apache-2.0
// Goal: table and picture hold for every length of a curve, from none to thousands of rounds.
#include "apps/weight_averaging/curve.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

using testing::HasSubstr;
using testing::Not;
namespace wa = weight_averaging;

namespace {

wa::Curve curve_of(std::size_t rounds) {
    wa::Curve curve;
    for (std::size_t i = 1; i <= rounds; ++i) {
        const auto n = static_cast<double>(i);
        curve.push_back({i, i * 1000, n, 1 / n, 0.9 - 0.5 / n});
    }
    return curve;
}

auto lines_of(const std::string& text) { return std::ranges::count(text, '\n'); }

}  // namespace

TEST(CurveTest, TableHasALinePerRoundUpTo30) {
    EXPECT_EQ(lines_of(wa::curve_table(curve_of(0))), 1);
    EXPECT_EQ(lines_of(wa::curve_table(curve_of(1))), 2);
    EXPECT_EQ(lines_of(wa::curve_table(curve_of(30))), 31);
    const std::string table = wa::curve_table(curve_of(5000));
    EXPECT_EQ(lines_of(table), 31);
    EXPECT_THAT(table, HasSubstr("\n      1        1000"));
    EXPECT_THAT(table, HasSubstr("\n   5000     5000000"));
}

TEST(CurveTest, PictureHoldsForEveryLength) {
    for (const std::size_t rounds : {0, 1, 2, 7, 40, 41, 5000}) {
        const std::string svg = wa::curve_svg(curve_of(rounds), "a < b & c");
        EXPECT_THAT(svg, testing::StartsWith("<?xml"));
        EXPECT_THAT(svg, testing::EndsWith("</svg>\n"));
        EXPECT_THAT(svg, HasSubstr("a &lt; b &amp; c"));
        EXPECT_THAT(svg, Not(HasSubstr("nan")));
        EXPECT_THAT(svg, Not(HasSubstr("inf")));
    }
}

TEST(CurveTest, PictureOfEqualValues) {
    for (const double accuracy : {0.0, 0.1, 1.0}) {
        const wa::Curve curve{{1, 10, 1, 0.0, accuracy}, {2, 20, 2, 0.0, accuracy}};
        const std::string svg = wa::curve_svg(curve, "flat");
        EXPECT_THAT(svg, Not(HasSubstr("nan")));
        EXPECT_THAT(svg, Not(HasSubstr("inf")));
    }
}
