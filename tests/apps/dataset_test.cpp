// SPDX-License-Identifier: Apache-2.0
// Goal: the data set fits together or is refused; the image sequence depends on the seed alone and
// shows every image once per epoch.
#include "apps/weight_averaging/dataset.hpp"

#include <gmock/gmock.h>

#include <numeric>

#include "idx_files.hpp"
#include "temporary_folder.hpp"

using testing::HasSubstr;
namespace wa = weight_averaging;

namespace {

void write_part(const TemporaryFolder& folder, const std::string& prefix, std::uint32_t images,
                const std::string& labels, std::uint32_t side = 28) {
    std::string pixels(std::size_t{images} * side * side, '\0');
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<char>(i % 251);
    write_gzip(folder / (prefix + "-images-idx3-ubyte.gz"),
               idx_bytes({images, side, side}, pixels));
    write_gzip(folder / (prefix + "-labels-idx1-ubyte.gz"),
               idx_bytes({static_cast<std::uint32_t>(labels.size())}, labels));
}

std::string refusal(const TemporaryFolder& folder) {
    return refusal_of([&] { static_cast<void>(wa::read_dataset(folder.path())); });
}

}  // namespace

TEST(DatasetTest, ReadsImagesAndMakesBatches) {
    const TemporaryFolder folder;
    write_part(folder, "train", 3, {0, 9, 5});
    write_part(folder, "t10k", 1, {7});
    const wa::Dataset data = wa::read_dataset(folder.path());
    EXPECT_EQ(data.train.count(), 3U);
    EXPECT_EQ(data.test.count(), 1U);

    const std::vector<std::uint32_t> indices{2, 0};
    const wa::Batch batch = wa::make_batch(data.train, indices);
    EXPECT_THAT(batch.labels, testing::ElementsAre(5, 0));
    ASSERT_EQ(batch.pixels.size(), 2 * wa::image_pixels);
    const float first = static_cast<float>(2 * wa::image_pixels % 251);
    EXPECT_NEAR(batch.pixels[0], (first / 255 - 0.286) / 0.353, 1e-6);
    EXPECT_NEAR(batch.pixels[wa::image_pixels], -0.286 / 0.353, 1e-6);
}

TEST(DatasetTest, RefusesWhatDoesNotFit) {
    const TemporaryFolder folder;
    EXPECT_THAT(refusal(folder), HasSubstr("train-images-idx3-ubyte.gz cannot be opened"));
    write_part(folder, "train", 2, {1, 2, 3});
    EXPECT_THAT(refusal(folder), HasSubstr("has 2 images, but"));
    write_part(folder, "train", 2, {1, 10});
    EXPECT_THAT(refusal(folder), HasSubstr("is not in 0 .. 9"));
    write_part(folder, "train", 2, {1, 2}, 32);
    EXPECT_THAT(refusal(folder), HasSubstr("are 32x32 pixels"));
    write_part(folder, "train", 0, {});
    EXPECT_THAT(refusal(folder), HasSubstr("has 0 images"));
}

TEST(ImageSequenceTest, ShowsEveryImageOncePerEpoch) {
    wa::ImageSequence sequence(7, 100);
    for (std::uint64_t epoch = 0; epoch < 3; ++epoch) {
        std::vector<std::uint32_t> seen = sequence.take(epoch * 100, 100);
        EXPECT_FALSE(std::is_sorted(seen.begin(), seen.end()));
        std::sort(seen.begin(), seen.end());
        std::vector<std::uint32_t> all(100);
        std::iota(all.begin(), all.end(), 0U);
        EXPECT_EQ(seen, all);
    }
    EXPECT_NE(sequence.take(0, 100), sequence.take(100, 100));
}

TEST(ImageSequenceTest, IsTheSameFromWhereverItIsRead) {
    const std::vector<std::uint32_t> whole = wa::ImageSequence(3, 50).take(0, 200);
    for (std::uint64_t first = 0; first < 170; first += 17) {
        const auto part = wa::ImageSequence(3, 50).take(first, 30);
        EXPECT_TRUE(std::equal(part.begin(), part.end(),
                               whole.begin() + static_cast<std::ptrdiff_t>(first)));
    }
    EXPECT_NE(wa::ImageSequence(4, 50).take(0, 200), whole);
}
