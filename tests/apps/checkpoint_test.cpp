// SPDX-License-Identifier: Apache-2.0
// Goal: a checkpoint comes back bit for bit; one of another network, of something else or damaged
// is refused in one sentence; the name always holds a whole file.
#include "apps/weight_averaging/checkpoint.hpp"

#include <gmock/gmock.h>

#include <cstdlib>
#include <limits>

#include "apps/weight_averaging/parameters.hpp"
#include "native/hdf5.hpp"
#include "temporary_folder.hpp"

using mobula::native::Hdf5File;
using testing::HasSubstr;
namespace wa = weight_averaging;

namespace {

wa::Checkpoint example() {
    wa::Checkpoint checkpoint;
    checkpoint.weights = wa::initial_weights(5);
    checkpoint.weights[3] = std::numeric_limits<float>::denorm_min();
    checkpoint.rounds = 2;
    checkpoint.seed = std::numeric_limits<std::uint64_t>::max();
    checkpoint.images = 12345;
    checkpoint.accuracy = 1.0 / 3;
    checkpoint.curve = {{1, 6000, 1.5, 0.7, 0.2}, {2, 12345, 3.25, 0.5, 1.0 / 3}};
    return checkpoint;
}

std::string refusal(const std::filesystem::path& path) {
    return refusal_of([&] { static_cast<void>(wa::read_checkpoint(path)); });
}

/// A file whose weights are right but for one parameter.
void write_other(const std::filesystem::path& path, std::string_view other,
                 std::vector<std::size_t> shape) {
    Hdf5File file = Hdf5File::create(path);
    for (const wa::Parameter& parameter : wa::parameters) {
        std::vector<std::size_t> extents(parameter.shape().begin(), parameter.shape().end());
        if (parameter.name == other) extents = shape;
        if (extents.empty()) continue;
        std::size_t size = 1;
        for (const std::size_t extent : extents) size *= extent;
        file.write<float>("weights/" + std::string(parameter.name), extents,
                          std::vector<float>(size));
    }
}

}  // namespace

TEST(CheckpointTest, ComesBackBitForBit) {
    const TemporaryFolder folder;
    for (const bool with_velocity : {false, true}) {
        wa::Checkpoint written = example();
        if (with_velocity) written.velocity.assign(wa::weights_size, 1.0 / 7);
        wa::write_checkpoint(folder / "weights.h5", written);
        const wa::Checkpoint read = wa::read_checkpoint(folder / "weights.h5");
        EXPECT_EQ(read.weights, written.weights);
        EXPECT_EQ(read.velocity, written.velocity);
        EXPECT_EQ(read.rounds, written.rounds);
        EXPECT_EQ(read.seed, written.seed);
        EXPECT_EQ(read.images, written.images);
        EXPECT_EQ(read.accuracy, written.accuracy);
        ASSERT_EQ(read.curve.size(), 2U);
        EXPECT_EQ(read.curve[1].round, 2U);
        EXPECT_EQ(read.curve[1].images, 12345U);
        EXPECT_EQ(read.curve[1].seconds, 3.25);
        EXPECT_EQ(read.curve[0].loss, 0.7);
        EXPECT_EQ(read.curve[0].accuracy, 0.2);
    }
    // Nothing but the file is left.
    const std::filesystem::directory_iterator files(folder.path());
    EXPECT_EQ(std::distance(begin(files), end(files)), 1);
}

TEST(CheckpointTest, HasATypedDatasetPerParameter) {
    const TemporaryFolder folder;
    wa::write_checkpoint(folder / "weights.h5", example());
    const Hdf5File file = Hdf5File::open(folder / "weights.h5");
    EXPECT_EQ(file.names("weights").size(), wa::parameters.size());
    for (const wa::Parameter& parameter : wa::parameters) {
        const std::string name = "weights/" + std::string(parameter.name);
        EXPECT_THAT(file.shape(name),
                    testing::Optional(testing::ElementsAreArray(parameter.shape())));
        EXPECT_EQ(file.read<float>(name).size(), parameter.size());
    }
}

TEST(CheckpointTest, AFailedWriteLeavesTheOldFile) {
    const TemporaryFolder folder;
    wa::write_checkpoint(folder / "weights.h5", example());
    const std::string before = read_bytes(folder / "weights.h5");
    wa::Checkpoint broken = example();
    broken.weights.pop_back();
    EXPECT_THROW(wa::write_checkpoint(folder / "weights.h5", broken), mobula::Error);
    EXPECT_EQ(read_bytes(folder / "weights.h5"), before);
    EXPECT_ANY_THROW(wa::write_checkpoint(folder / "no folder" / "weights.h5", example()));
}

TEST(CheckpointTest, LeavesALinkAlone) {
    const TemporaryFolder folder;
    std::filesystem::create_symlink(folder / "target", folder / "weights.h5");
    EXPECT_THROW(wa::write_checkpoint(folder / "weights.h5", example()), mobula::Error);
    EXPECT_TRUE(std::filesystem::is_symlink(folder / "weights.h5"));
    const std::filesystem::directory_iterator files(folder.path());
    EXPECT_EQ(std::distance(begin(files), end(files)), 1);
}

TEST(CheckpointTest, RefusesAnotherNetwork) {
    const TemporaryFolder folder;
    write_other(folder / "other.h5", "conv1.weight", {16, 1, 3, 3});
    EXPECT_THAT(refusal(folder / "other.h5"),
                HasSubstr("another network: conv1.weight is 16x1x3x3 where 16x1x5x5 is expected"));
    write_other(folder / "other.h5", "dense2.bias", {});
    EXPECT_THAT(refusal(folder / "other.h5"), HasSubstr("another network: it has no dense2.bias"));
    write_other(folder / "other.h5", "conv1.weight", {16 * 25});
    EXPECT_THAT(refusal(folder / "other.h5"), HasSubstr("another network"));
    {
        Hdf5File file = Hdf5File::create(folder / "more.h5");
        for (const wa::Parameter& parameter : wa::parameters) {
            file.write<float>("weights/" + std::string(parameter.name), parameter.shape(),
                              std::vector<float>(parameter.size()));
        }
        const std::size_t one = 1;
        file.write<float>("weights/dense3.bias", {&one, 1}, std::vector<float>(1));
    }
    EXPECT_THAT(refusal(folder / "more.h5"), HasSubstr("another network: it has dense3.bias"));
}

TEST(CheckpointTest, RefusesOtherTypesAndValues) {
    const TemporaryFolder folder;
    {
        Hdf5File file = Hdf5File::create(folder / "double.h5");
        for (const wa::Parameter& parameter : wa::parameters) {
            file.write<double>("weights/" + std::string(parameter.name), parameter.shape(),
                               std::vector<double>(parameter.size()));
        }
    }
    EXPECT_THAT(refusal(folder / "double.h5"), HasSubstr("another type"));
    wa::Checkpoint checkpoint = example();
    checkpoint.weights[0] = std::numeric_limits<float>::quiet_NaN();
    wa::write_checkpoint(folder / "nan.h5", checkpoint);
    EXPECT_THAT(refusal(folder / "nan.h5"), HasSubstr("no numbers"));
    write_other(folder / "bare.h5", "", {});
    EXPECT_THAT(refusal(folder / "bare.h5"), HasSubstr("format"));
}

TEST(CheckpointTest, RefusesWhatIsNoCheckpoint) {
    const TemporaryFolder folder;
    EXPECT_THAT(refusal(folder / "nothing.h5"), HasSubstr("there is no checkpoint"));
    EXPECT_THAT(refusal(folder.path()), HasSubstr("there is no checkpoint"));
    std::filesystem::create_symlink("loop.h5", folder / "loop.h5");
    EXPECT_THAT(refusal(folder / "loop.h5"), HasSubstr("there is no checkpoint"));
    write_bytes(folder / "text.h5", "once upon a time");
    EXPECT_THAT(refusal(folder / "text.h5"), HasSubstr("no HDF5 file"));
}

// HDF5 prints some damage once more as the process ends, of what it could not close.
TEST(CheckpointDeathTest, SaysNothingBesidesTheSentence) {
    const TemporaryFolder folder;
    wa::write_checkpoint(folder / "weights.h5", example());
    std::string bytes = read_bytes(folder / "weights.h5");
    bytes[1843] = static_cast<char>(bytes[1843] ^ 4);  // in the header of the first dataset
    write_bytes(folder / "weights.h5", bytes);
    ASSERT_THAT(refusal(folder / "weights.h5"), HasSubstr("cannot be used: HDF5 cannot open"));
    EXPECT_EXIT(
        {
            static_cast<void>(refusal(folder / "weights.h5"));
            std::exit(0);
        },
        testing::ExitedWithCode(0), "^$");
}

// Of a file with a damaged list of names it may find so much open at the end that it gives up.
TEST(CheckpointDeathTest, SaysNothingAtTheEndOfTheProcess) {
    const TemporaryFolder folder;
    wa::write_checkpoint(folder / "weights.h5", example());
    const std::string whole = read_bytes(folder / "weights.h5");
    EXPECT_EXIT(
        {
            for (std::size_t at = 760; at < 1060; ++at) {
                std::string bytes = whole;
                bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
                write_bytes(folder / "weights.h5", bytes);
                try {
                    static_cast<void>(wa::read_checkpoint(folder / "weights.h5"));
                } catch (const mobula::Error&) {  // some of it is not used
                }
            }
            std::exit(0);
        },
        testing::ExitedWithCode(0), "^$");
}

// Damage inside HDF5's own tables is left out: the library is known to fall over some of it.
TEST(CheckpointTest, RefusesTruncations) {
    const TemporaryFolder folder;
    wa::write_checkpoint(folder / "weights.h5", example());
    const std::string whole = read_bytes(folder / "weights.h5");
    for (std::size_t length = 0; length < whole.size(); length += whole.size() / 50) {
        write_bytes(folder / "cut.h5", whole.substr(0, length));
        EXPECT_NE(refusal(folder / "cut.h5"), "") << length << " bytes";
    }
}
