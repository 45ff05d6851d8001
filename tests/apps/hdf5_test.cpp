// SPDX-License-Identifier: Apache-2.0
// Goal: every element type and shape comes back as written, and a wrong name or type is an error
// that names it.
#include "native/hdf5.hpp"

#include <gmock/gmock.h>

#include "temporary_folder.hpp"

using mobula::native::Hdf5Error;
using mobula::native::Hdf5File;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Optional;
using testing::ThrowsMessage;

template <class T>
class Hdf5TypedTest : public testing::Test {};
using Elements = testing::Types<float, double, std::int32_t, std::int64_t, std::uint8_t,
                                std::uint32_t, std::uint64_t>;
TYPED_TEST_SUITE(Hdf5TypedTest, Elements);

TYPED_TEST(Hdf5TypedTest, ComesBack) {
    const TemporaryFolder folder;
    const std::vector<TypeParam> elements{std::numeric_limits<TypeParam>::lowest(), 0, 1, 2, 3,
                                          std::numeric_limits<TypeParam>::max()};
    const std::vector<std::size_t> shape{2, 3};
    {
        Hdf5File file = Hdf5File::create(folder / "file.h5");
        file.write<TypeParam>("a/b/c", shape, elements);
        file.set_attribute("last", elements.back());
        file.sync();
    }
    const Hdf5File file = Hdf5File::open(folder / "file.h5");
    EXPECT_EQ(file.read<TypeParam>("a/b/c"), elements);
    EXPECT_THAT(file.shape("a/b/c"), Optional(ElementsAre(2, 3)));
    EXPECT_THAT(file.shape("/a/b/c"), Optional(ElementsAre(2, 3)));
    EXPECT_EQ(file.attribute<TypeParam>("last"), elements.back());
    EXPECT_THAT([&] { static_cast<void>(file.read<TypeParam>("a/b/c", 5)); },
                ThrowsMessage<Hdf5Error>(HasSubstr("too large")));
}

TEST(Hdf5Test, TellsWhatIsWrong) {
    const TemporaryFolder folder;
    const std::size_t two = 2;
    {
        Hdf5File file = Hdf5File::create(folder / "file.h5");
        const std::vector<float> elements{1, 2};
        file.write<float>("pair", {&two, 1}, elements);
        EXPECT_THAT(
            [&] {
                file.write<float>("pair", {&two, 1}, elements);
            },
            ThrowsMessage<Hdf5Error>(HasSubstr("'pair'")));
        const std::span<const float> one(elements.data(), 1);
        EXPECT_THAT(
            [&] {
                file.write<float>("other", {&two, 1}, one);
            },
            ThrowsMessage<Hdf5Error>(HasSubstr("'other'")));
        file.set_attribute("text", "an apple");
        file.set_attribute("number", 3.5);
    }
    const Hdf5File file = Hdf5File::open(folder / "file.h5");
    EXPECT_EQ(file.text_attribute("text"), "an apple");
    EXPECT_THAT(file.names("/"), ElementsAre("pair"));
    EXPECT_THAT(file.names("none"), ElementsAre());
    EXPECT_EQ(file.shape("none"), std::nullopt);
    EXPECT_EQ(file.shape("none/at/all"), std::nullopt);
    EXPECT_THROW(static_cast<void>(file.read<float>("none")), Hdf5Error);
    EXPECT_THROW(static_cast<void>(file.read<double>("pair")), Hdf5Error);
    EXPECT_THROW(static_cast<void>(file.attribute<float>("number")), Hdf5Error);
    EXPECT_THROW(static_cast<void>(file.attribute<double>("text")), Hdf5Error);
    EXPECT_THROW(static_cast<void>(file.text_attribute("number")), Hdf5Error);
    EXPECT_THROW(static_cast<void>(Hdf5File::open(folder / "none.h5")), Hdf5Error);
    EXPECT_THROW(static_cast<void>(Hdf5File::create(folder / "none" / "file.h5")), Hdf5Error);
}

TEST(Hdf5Test, PrintsNothing) {
    testing::internal::CaptureStderr();
    EXPECT_THROW(static_cast<void>(Hdf5File::open("/nowhere/at/all.h5")), Hdf5Error);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}
