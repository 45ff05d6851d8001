// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weight_averaging {

/// What is known after a round.
struct Point {
    std::uint64_t round = 0;   ///< the first is 1
    std::uint64_t images = 0;  ///< trained since the very beginning
    double seconds = 0;        ///< since the very beginning, without pauses between runs
    double loss = 0;           ///< mean of the round's training steps
    double accuracy = 0;       ///< of the test images, 0 .. 1
};
using Curve = std::vector<Point>;

/// The final table for people: a head line, then a line per round; of more than 30 rounds some are
/// left out evenly, never the first or last.
[[nodiscard]] std::string curve_table(const Curve& curve);

/// The learning curve as an SVG picture: test accuracy and training loss over images.
[[nodiscard]] std::string curve_svg(const Curve& curve, const std::string& title);

}  // namespace weight_averaging
