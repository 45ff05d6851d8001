// SPDX-License-Identifier: Apache-2.0
#include "apps/weight_averaging/parameters.hpp"

#include <cmath>
#include <limits>

#include "apps/weight_averaging/random.hpp"

namespace weight_averaging {

std::vector<float> initial_weights(std::uint64_t seed) {
    // A stream that no epoch of the image sequence has.
    Random random(seed, std::numeric_limits<std::uint64_t>::max());
    std::vector<float> weights;
    weights.reserve(weights_size);
    for (const Parameter& parameter : parameters) {
        const float bound = 1 / std::sqrt(static_cast<float>(parameter.fan_in));
        for (std::size_t i = 0; i < parameter.size(); ++i) {
            weights.push_back(random.symmetric(bound));
        }
    }
    return weights;
}

}  // namespace weight_averaging
