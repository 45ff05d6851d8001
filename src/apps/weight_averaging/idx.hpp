// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace weight_averaging {

/// One array of bytes as the MNIST family of data sets stores it.
struct Idx {
    std::vector<std::size_t> shape;
    std::vector<std::uint8_t> bytes;
};

/// Reads an IDX file of unsigned bytes, gzipped or plain. Throws mobula::BadInput, in one sentence
/// with the file's name, when it is missing, of another kind or number of dimensions, truncated,
/// damaged or longer than its head says.
[[nodiscard]] Idx read_idx(const std::filesystem::path& path, std::size_t dimensions);

}  // namespace weight_averaging
