// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstddef>

#include "apps/weight_averaging/curve.hpp"

namespace weight_averaging {

std::string curve_table(const Curve& curve) {
    constexpr std::size_t lines_max = 30;
    std::string table = fmt::format("{:>7}  {:>10}  {:>9}  {:>7}  {:>10}\n", "round", "images",
                                    "seconds", "loss", "accuracy");
    const std::size_t lines = std::min(curve.size(), lines_max);
    for (std::size_t line = 0; line < lines; ++line) {
        const std::size_t at = lines == 1 ? 0 : line * (curve.size() - 1) / (lines - 1);
        const Point& point = curve[at];
        table += fmt::format("{:>7}  {:>10}  {:>9.1f}  {:>7.3f}  {:>8.2f} %\n", point.round,
                             point.images, point.seconds, point.loss, point.accuracy * 100);
    }
    return table;
}

}  // namespace weight_averaging
