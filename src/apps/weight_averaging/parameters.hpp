// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace weight_averaging {

/// One array of weights. All of a network's lie one after another in one flat array of floats, in
/// the order of the table below: that is what travels, is averaged and is trained in place.
struct Parameter {
    std::string_view name;
    std::array<std::size_t, 4> extents;  ///< unused ones are 0
    std::size_t dimensions;
    std::size_t fan_in;  ///< inputs of one output, which sets the spread of the first weights

    [[nodiscard]] constexpr std::span<const std::size_t> shape() const noexcept {
        return {extents.data(), dimensions};
    }
    [[nodiscard]] constexpr std::size_t size() const noexcept {
        std::size_t product = 1;
        for (std::size_t i = 0; i < dimensions; ++i) product *= extents[i];
        return product;
    }
};

/// Two convolutions of 5x5 with a pooling after each, which leaves 32 maps of 7x7, and two dense
/// layers.
inline constexpr std::array<Parameter, 8> parameters{{
    {"conv1.weight", {16, 1, 5, 5}, 4, 25},
    {"conv1.bias", {16}, 1, 25},
    {"conv2.weight", {32, 16, 5, 5}, 4, 400},
    {"conv2.bias", {32}, 1, 400},
    {"dense1.weight", {128, 1568}, 2, 1568},
    {"dense1.bias", {128}, 1, 1568},
    {"dense2.weight", {10, 128}, 2, 128},
    {"dense2.bias", {10}, 1, 128},
}};

inline constexpr std::size_t weights_size = [] {
    std::size_t sum = 0;
    for (const Parameter& parameter : parameters) sum += parameter.size();
    return sum;
}();
static_assert(weights_size == 215'370);

/// The weights that a network starts with: evenly in +-1/sqrt(fan in).
[[nodiscard]] std::vector<float> initial_weights(std::uint64_t seed);

}  // namespace weight_averaging
