// SPDX-License-Identifier: Apache-2.0
// Goal: the network descends along the true gradient, learns, and gives the same bits each time.
#include "apps/weight_averaging/network.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "apps/weight_averaging/parameters.hpp"
#include "apps/weight_averaging/random.hpp"

namespace wa = weight_averaging;

namespace {

/// Ten kinds of images that differ in where they are bright, with noise.
wa::Batch example(std::size_t images, std::uint64_t seed) {
    wa::Random random(seed);
    wa::Batch batch;
    for (std::size_t i = 0; i < images; ++i) {
        const std::uint32_t label = random.below(10);
        batch.labels.push_back(label);
        for (std::size_t pixel = 0; pixel < wa::image_pixels; ++pixel) {
            const bool bright = pixel / wa::image_columns / 3 == label;
            batch.pixels.push_back((bright ? 1.0F : 0.0F) + random.symmetric(0.3F));
        }
    }
    return batch;
}

double loss_of(std::vector<float> weights, const wa::Batch& batch) {
    return wa::Network(weights).train(batch, 0, 0);
}

}  // namespace

TEST(NetworkTest, DescendsAlongTheGradient) {
    const wa::Batch batch = example(8, 1);
    const std::vector<float> before = wa::initial_weights(1);
    std::vector<float> after = before;
    wa::Network(after).train(batch, 1, 0);  // moves by the gradient itself
    // Along the gradient g of length |g| the loss falls by |g| per unit of way; checked for each
    // parameter by itself, so that none is left out or mixed up.
    std::size_t first = 0;
    for (const wa::Parameter& parameter : wa::parameters) {
        double square = 0;
        for (std::size_t i = first; i < first + parameter.size(); ++i) {
            square += std::pow(double{before[i]} - double{after[i]}, 2);
        }
        const double length = std::sqrt(square), way = 1e-2;
        std::vector<float> ahead = before, back = before;
        for (std::size_t i = first; i < first + parameter.size(); ++i) {
            const double part = (double{before[i]} - double{after[i]}) / length * way;
            ahead[i] = static_cast<float>(before[i] - part);
            back[i] = static_cast<float>(before[i] + part);
        }
        const double slope = (loss_of(back, batch) - loss_of(ahead, batch)) / (2 * way);
        EXPECT_NEAR(slope / length, 1, 0.05) << parameter.name;
        first += parameter.size();
    }
}

TEST(NetworkTest, MomentumKeepsGoing) {
    const wa::Batch batch = example(8, 1);
    std::vector<float> start = wa::initial_weights(1), plain = start, heavy = start;
    wa::Network with(heavy), without(plain);
    with.train(batch, 0.01, 0.5);
    without.train(batch, 0.01, 0);
    EXPECT_EQ(plain, heavy);
    const std::vector<float> once = plain;
    with.train(batch, 0.01, 0.5);
    without.train(batch, 0.01, 0);
    for (std::size_t i = 0; i < start.size(); ++i) {
        EXPECT_NEAR(heavy[i] - plain[i], 0.5F * (once[i] - start[i]), 1e-6);
    }
}

TEST(NetworkTest, LearnsWithTheSameBitsEachTime) {
    const auto train = [] {
        std::vector<float> weights = wa::initial_weights(2);
        wa::Network network(weights);
        for (std::uint64_t step = 0; step < 40; ++step) {
            network.train(example(32, step), 0.02, 0.9);
        }
        return weights;
    };
    const std::vector<float> weights = train();
    EXPECT_EQ(train(), weights);
    const wa::Batch test = example(200, 1000);
    EXPECT_LT(wa::count_correct(wa::initial_weights(2), test), 60U);
    EXPECT_GT(wa::count_correct(weights, test), 190U);
}

TEST(NetworkTest, RefusesAnotherNumberOfWeights) {
    std::vector<float> weights(10);
    EXPECT_ANY_THROW(wa::Network network(weights));
}
