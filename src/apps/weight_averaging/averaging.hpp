// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

namespace weight_averaging {

/// How the next weights follow from those that the actors bring back: their mean, or a Nesterov
/// step of the given rate and momentum along the way from the old weights to the mean.
enum class Outer { mean, nesterov };

struct OuterSettings {
    Outer kind = Outer::mean;
    double rate = 0.7;
    double momentum = 0.9;
};

/// The mean of the actors' weights, summed in the order of the actors with double accumulators: the
/// same bits whatever the order in which the actors finished. All must have the same size.
[[nodiscard]] std::vector<double> mean_of(std::span<const std::span<const float>> actors);

/// The outer step with its momentum. Thread-bound.
class OuterOptimizer {
public:
    /// `velocity` is that of an earlier run, or empty.
    explicit OuterOptimizer(OuterSettings settings, std::vector<double> velocity = {});

    /// The weights of the next round.
    [[nodiscard]] std::vector<float> step(std::span<const float> weights,
                                          std::span<const std::span<const float>> actors);

    /// What a run that goes on later needs; empty for the mean.
    [[nodiscard]] const std::vector<double>& velocity() const noexcept { return velocity_; }

private:
    OuterSettings settings_;
    std::vector<double> velocity_;
};

}  // namespace weight_averaging
