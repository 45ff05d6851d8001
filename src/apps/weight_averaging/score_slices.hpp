// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace weight_averaging {

struct Slice {
    std::uint32_t first, count;
};

/// The test images in parts that take some hundredths of a second each: small enough to fill the
/// gaps between the actors' rounds evenly, large enough to make a task's cost invisible.
inline std::vector<Slice> score_slices(std::size_t images) {
    constexpr std::size_t images_max = 250;
    std::vector<Slice> slices;
    for (std::size_t first = 0; first < images; first += images_max) {
        slices.push_back({static_cast<std::uint32_t>(first),
                          static_cast<std::uint32_t>(std::min(images_max, images - first))});
    }
    return slices;
}

}  // namespace weight_averaging
