// SPDX-License-Identifier: Apache-2.0
#include "apps/weight_averaging/dataset.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <mutex>
#include <numeric>
#include <string>
#include <utility>

#include <mobula/error.hpp>

#include "apps/weight_averaging/idx.hpp"
#include "apps/weight_averaging/random.hpp"

namespace weight_averaging {
namespace {

Images read_images(const std::filesystem::path& folder, const std::string& prefix) {
    const std::filesystem::path pixels_path = folder / (prefix + "-images-idx3-ubyte.gz");
    const std::filesystem::path labels_path = folder / (prefix + "-labels-idx1-ubyte.gz");
    Idx pixels = read_idx(pixels_path, 3);
    Idx labels = read_idx(labels_path, 1);
    if (pixels.shape[1] != image_rows || pixels.shape[2] != image_columns) {
        throw mobula::BadInput(
            "the images in " + pixels_path.string() + " are " + std::to_string(pixels.shape[1]) +
            "x" + std::to_string(pixels.shape[2]) + " pixels where 28x28 are expected");
    }
    if (pixels.shape[0] != labels.shape[0] || pixels.shape[0] == 0 ||
        pixels.shape[0] > std::numeric_limits<std::uint32_t>::max()) {
        throw mobula::BadInput(pixels_path.string() + " has " + std::to_string(pixels.shape[0]) +
                               " images, but " + labels_path.string() + " has " +
                               std::to_string(labels.shape[0]) + " labels");
    }
    if (std::ranges::any_of(labels.bytes, [](std::uint8_t label) { return label >= classes; })) {
        throw mobula::BadInput("a label in " + labels_path.string() + " is not in 0 .. 9");
    }
    return {std::move(pixels.bytes), std::move(labels.bytes)};
}

/// Mean and deviation of Fashion-MNIST's training pixels, as fractions of 255.
std::array<float, 256> normalised_values() {
    std::array<float, 256> values{};
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = (static_cast<float>(i) / 255.0F - 0.286F) / 0.353F;
    }
    return values;
}

}  // namespace

Dataset read_dataset(const std::filesystem::path& folder) {
    return {read_images(folder, "train"), read_images(folder, "t10k")};
}

const Dataset& local_dataset(const std::filesystem::path& folder) {
    // Never freed: threads of the engine may still read it while the process ends.
    static auto& mutex = *new std::mutex;
    static auto& known = *new std::map<std::filesystem::path, Dataset>;
    const std::scoped_lock lock(mutex);
    auto found = known.find(folder);
    if (found == known.end()) found = known.emplace(folder, read_dataset(folder)).first;
    return found->second;
}

Batch make_batch(const Images& images, std::span<const std::uint32_t> indices) {
    static const std::array<float, 256> values = normalised_values();
    Batch batch;
    batch.pixels.resize(indices.size() * image_pixels);
    batch.labels.resize(indices.size());
    float* to = batch.pixels.data();
    for (std::size_t i = 0; i < indices.size(); ++i) {
        const std::uint8_t* from = images.pixels.data() + indices[i] * image_pixels;
        to = std::transform(from, from + image_pixels, to,
                            [](std::uint8_t pixel) { return values[pixel]; });
        batch.labels[i] = images.labels[indices[i]];
    }
    return batch;
}

ImageSequence::ImageSequence(std::uint64_t seed, std::size_t images)
    : seed_(seed), epoch_(std::numeric_limits<std::uint64_t>::max()), order_(images) {}

std::vector<std::uint32_t> ImageSequence::take(std::uint64_t first, std::size_t count) {
    std::vector<std::uint32_t> taken(count);
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t position = first + i;
        if (position / order_.size() != epoch_) shuffle(position / order_.size());
        taken[i] = order_[position % order_.size()];
    }
    return taken;
}

void ImageSequence::shuffle(std::uint64_t epoch) {
    epoch_ = epoch;
    std::iota(order_.begin(), order_.end(), 0U);
    Random random(seed_, epoch);
    for (auto left = static_cast<std::uint32_t>(order_.size()); left > 1; --left) {
        std::swap(order_[left - 1], order_[random.below(left)]);
    }
}

}  // namespace weight_averaging
