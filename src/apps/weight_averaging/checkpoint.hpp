// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "apps/weight_averaging/curve.hpp"

namespace weight_averaging {

/// All that a run needs to go on: after it, the same settings give the same weights as a run that
/// was never interrupted. As an HDF5 file:
///   /weights/<parameter>   float32 in the parameter's shape
///   /outer/velocity        float64, of the outer optimiser; only where it has one
///   /curve/{round,images}  uint64, and {seconds,loss,accuracy} float64: a value per round
///   attributes             format (a text), rounds, seed, images (uint64), accuracy (float64)
struct Checkpoint {
    std::vector<float> weights;
    std::vector<double> velocity;
    std::uint64_t rounds = 0, seed = 0, images = 0;
    double accuracy = 0;
    Curve curve;
};

/// Writes under a temporary name beside `path`, brings it to the disk and renames it, so that
/// `path` is always whole: the old one or the new one. Throws mobula::native::Hdf5Error or
/// std::filesystem::filesystem_error.
void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

/// Throws mobula::BadInput, in one sentence, when the file is missing, damaged, of something else
/// or of another network.
[[nodiscard]] Checkpoint read_checkpoint(const std::filesystem::path& path);

}  // namespace weight_averaging
