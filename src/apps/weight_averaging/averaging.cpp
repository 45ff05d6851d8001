// SPDX-License-Identifier: Apache-2.0
#include "apps/weight_averaging/averaging.hpp"

#include <algorithm>
#include <utility>

#include <mobula/error.hpp>

namespace weight_averaging {

std::vector<double> mean_of(std::span<const std::span<const float>> actors) {
    std::vector<double> mean(actors.empty() ? 0 : actors.front().size());
    for (const std::span<const float> weights : actors) {
        if (weights.size() != mean.size()) {
            throw mobula::Error("weights of different sizes cannot be averaged");
        }
        for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += double{weights[i]};
    }
    for (double& weight : mean) weight /= static_cast<double>(actors.size());
    return mean;
}

OuterOptimizer::OuterOptimizer(OuterSettings settings, std::vector<double> velocity)
    : settings_(settings), velocity_(std::move(velocity)) {}

std::vector<float> OuterOptimizer::step(std::span<const float> weights,
                                        std::span<const std::span<const float>> actors) {
    const std::vector<double> mean = mean_of(actors);
    if (mean.size() != weights.size()) {
        throw mobula::Error("the actors' weights have another size than those they were given");
    }
    std::vector<float> next(weights.size());
    if (settings_.kind == Outer::mean) {
        std::transform(mean.begin(), mean.end(), next.begin(),
                       [](double weight) { return static_cast<float>(weight); });
        return next;
    }
    velocity_.resize(weights.size());
    for (std::size_t i = 0; i < next.size(); ++i) {
        const double gradient = double{weights[i]} - mean[i];
        velocity_[i] = settings_.momentum * velocity_[i] + gradient;
        const double step = gradient + settings_.momentum * velocity_[i];
        next[i] = static_cast<float>(double{weights[i]} - settings_.rate * step);
    }
    return next;
}

}  // namespace weight_averaging
