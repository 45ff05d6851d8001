// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace weight_averaging {

inline constexpr std::size_t image_rows = 28, image_columns = 28;
inline constexpr std::size_t image_pixels = image_rows * image_columns;
inline constexpr std::size_t classes = 10;

struct Images {
    std::vector<std::uint8_t> pixels;  ///< image after image, row after row
    std::vector<std::uint8_t> labels;  ///< each below `classes`
    [[nodiscard]] std::size_t count() const noexcept { return labels.size(); }
};

struct Dataset {
    Images train, test;
};

/// Reads the four IDX files of a data set of the MNIST family from a folder. Throws
/// mobula::BadInput, in one sentence, about a file that is missing, damaged or does not fit.
[[nodiscard]] Dataset read_dataset(const std::filesystem::path& folder);

/// The same, read once per process and kept for its life, so that actors and tasks of one rank
/// share it and no image ever travels. Thread-safe.
[[nodiscard]] const Dataset& local_dataset(const std::filesystem::path& folder);

/// What a network is fed with: pixels with mean 0 and deviation 1 over the data set.
struct Batch {
    std::vector<float> pixels;
    std::vector<std::int64_t> labels;
};
[[nodiscard]] Batch make_batch(const Images& images, std::span<const std::uint32_t> indices);

/// The training images of a whole run as one endless sequence: all of them in a random order, then
/// all of them in another, and so on. It depends on the seed alone, so whoever trains the images
/// from one position to another gets the same ones on every rank. Thread-bound.
class ImageSequence {
public:
    ImageSequence(std::uint64_t seed, std::size_t images);
    /// The `count` images from `first` on.
    [[nodiscard]] std::vector<std::uint32_t> take(std::uint64_t first, std::size_t count);

private:
    void shuffle(std::uint64_t epoch);

    std::uint64_t seed_;
    std::uint64_t epoch_;
    std::vector<std::uint32_t> order_;  ///< of epoch_
};

}  // namespace weight_averaging
