// SPDX-License-Identifier: Apache-2.0
// Goal: the mean is summed in the order of the actors in double; the outer steps are what their
// formulas say.
#include "apps/weight_averaging/averaging.hpp"

#include <gmock/gmock.h>

#include <random>

#include "temporary_folder.hpp"

using testing::ElementsAre;
using testing::FloatEq;
namespace wa = weight_averaging;

namespace {

std::vector<std::span<const float>> spans_of(const std::vector<std::vector<float>>& actors) {
    return {actors.begin(), actors.end()};
}

}  // namespace

TEST(AveragingTest, MeanOfOneIsItself) {
    const std::vector<std::vector<float>> actors{{1.25F, -3e-30F, 7e30F}};
    wa::OuterOptimizer optimizer({});
    EXPECT_EQ(optimizer.step(std::vector<float>(3), spans_of(actors)), actors[0]);
    EXPECT_TRUE(optimizer.velocity().empty());
}

TEST(AveragingTest, SumsInDouble) {
    // In float the small one would be lost.
    const std::vector<std::vector<float>> actors{{1e8F}, {1.0F}, {-1e8F}, {1.0F}};
    EXPECT_THAT(wa::mean_of(spans_of(actors)), ElementsAre(0.5));
}

TEST(AveragingTest, GivesTheSameBitsEachTime) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<std::vector<float>> actors(7, std::vector<float>(1000));
    for (auto& weights : actors) {
        for (float& weight : weights) weight = normal(random);
    }
    const std::vector<double> mean = wa::mean_of(spans_of(actors));
    EXPECT_EQ(wa::mean_of(spans_of(actors)), mean);
    for (std::size_t i = 0; i < mean.size(); ++i) {
        double sum = 0;
        for (const auto& weights : actors) sum += double{weights[i]};
        EXPECT_EQ(mean[i], sum / 7);
    }
}

TEST(AveragingTest, RefusesDifferentSizes) {
    const std::vector<std::vector<float>> actors{{1, 2}, {1}};
    EXPECT_THROW(static_cast<void>(wa::mean_of(spans_of(actors))), mobula::Error);
    wa::OuterOptimizer optimizer({});
    const std::vector<std::vector<float>> other{{1, 2}};
    EXPECT_THROW(static_cast<void>(optimizer.step(std::vector<float>(3), spans_of(other))),
                 mobula::Error);
}

TEST(AveragingTest, NesterovFollowsItsFormula) {
    wa::OuterOptimizer optimizer({wa::Outer::nesterov, 0.5, 0.5});
    const std::vector<std::vector<float>> actors{{0.0F}, {1.0F}};
    // gradient 2 - 0.5 = 1.5, velocity 1.5, step 1.5 + 0.75
    std::vector<float> weights = optimizer.step(std::vector<float>{2.0F}, spans_of(actors));
    EXPECT_THAT(weights, ElementsAre(FloatEq(0.875F)));
    EXPECT_THAT(optimizer.velocity(), ElementsAre(1.5));
    // gradient 0.375, velocity 0.75 + 0.375, step 0.375 + 0.5625
    weights = optimizer.step(weights, spans_of(actors));
    EXPECT_THAT(weights, ElementsAre(FloatEq(0.40625F)));
}

TEST(AveragingTest, NesterovGoesOnFromASavedVelocity) {
    const wa::OuterSettings settings{wa::Outer::nesterov, 0.7, 0.9};
    const std::vector<std::vector<float>> actors{{0.1F, 3.0F}, {0.7F, -1.0F}};
    wa::OuterOptimizer whole(settings);
    const std::vector<float> half = whole.step(std::vector<float>{1, 1}, spans_of(actors));
    wa::OuterOptimizer resumed(settings, whole.velocity());
    EXPECT_EQ(resumed.step(half, spans_of(actors)), whole.step(half, spans_of(actors)));
}

TEST(AveragingTest, NesterovOfRateOneWithoutMomentumIsTheMean) {
    wa::OuterOptimizer optimizer({wa::Outer::nesterov, 1, 0});
    const std::vector<std::vector<float>> actors{{0.5F}, {0.25F}};
    EXPECT_THAT(optimizer.step(std::vector<float>{2.0F}, spans_of(actors)),
                ElementsAre(FloatEq(0.375F)));
}
