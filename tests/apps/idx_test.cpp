// SPDX-License-Identifier: Apache-2.0
// Goal: a data file is read exactly or refused in one sentence, whatever is wrong with it.
// Method: small files, then every truncation and many random damages of one.
#include "apps/weight_averaging/idx.hpp"

#include <gmock/gmock.h>

#include <random>

#include "idx_files.hpp"
#include "temporary_folder.hpp"

using testing::ElementsAre;
using testing::HasSubstr;
using weight_averaging::Idx;
using weight_averaging::read_idx;

TEST(IdxTest, ReadsPackedAndPlainFiles) {
    const TemporaryFolder folder;
    const std::string bytes = idx_bytes({2, 3}, "abcdef");
    write_gzip(folder / "packed.gz", bytes);
    write_bytes(folder / "plain", bytes);
    for (const char* name : {"packed.gz", "plain"}) {
        const Idx idx = read_idx(folder / name, 2);
        EXPECT_THAT(idx.shape, ElementsAre(2, 3));
        EXPECT_EQ(std::string(idx.bytes.begin(), idx.bytes.end()), "abcdef");
    }
}

TEST(IdxTest, RefusesWhatIsNoSuchFile) {
    const TemporaryFolder folder;
    const auto refusal = [&](const std::string& bytes, std::size_t dimensions) {
        write_gzip(folder / "file.gz", bytes);
        return refusal_of([&] { static_cast<void>(read_idx(folder / "file.gz", dimensions)); });
    };
    EXPECT_THAT(refusal("", 1), HasSubstr("is truncated"));
    EXPECT_THAT(refusal("GIF89a and so on", 1), HasSubstr("no IDX file"));
    EXPECT_THAT(refusal(idx_bytes({3}, "abc"), 3), HasSubstr("has 1 dimensions where 3"));
    EXPECT_THAT(refusal(idx_bytes({3}, "abcd"), 1), HasSubstr("longer"));
    EXPECT_THAT(refusal(idx_bytes({0xffffffff, 0xffffffff, 0xffffffff}, "a"), 3),
                HasSubstr("too many elements"));
    EXPECT_THAT(refusal(idx_bytes({1U << 29}, "a"), 1), HasSubstr("is truncated"));
    EXPECT_THAT(refusal_of([&] { static_cast<void>(read_idx(folder / "nothing.gz", 1)); }),
                testing::AllOf(HasSubstr("nothing.gz"), HasSubstr("cannot be opened")));
    EXPECT_THAT(refusal_of([&] { static_cast<void>(read_idx(folder.path(), 1)); }),
                HasSubstr(folder.path().string()));
}

TEST(IdxTest, RefusesEveryTruncation) {
    const TemporaryFolder folder;
    write_gzip(folder / "whole.gz", idx_bytes({4, 5}, "abcdefghijklmnopqrst"));
    const std::string whole = read_bytes(folder / "whole.gz");
    for (std::size_t length = 0; length < whole.size(); ++length) {
        write_bytes(folder / "cut.gz", whole.substr(0, length));
        EXPECT_THAT(refusal_of([&] { static_cast<void>(read_idx(folder / "cut.gz", 2)); }),
                    HasSubstr("cut.gz"))
            << length << " bytes";
    }
}

TEST(IdxTest, SurvivesRandomDamage) {
    const TemporaryFolder folder;
    write_gzip(folder / "whole.gz", idx_bytes({4, 5}, "abcdefghijklmnopqrst"));
    const std::string whole = read_bytes(folder / "whole.gz");
    std::mt19937 random(1);
    for (int i = 0; i < 500; ++i) {
        std::string damaged = whole;
        for (int j = 0; j <= i % 3; ++j) {
            damaged[random() % damaged.size()] = static_cast<char>(random());
        }
        write_bytes(folder / "damaged.gz", damaged);
        try {
            // What the check sums do not cover, such as the packer's name, may be damaged.
            EXPECT_EQ(read_idx(folder / "damaged.gz", 2).bytes.size(), 20U);
        } catch (const mobula::BadInput&) {
        }
    }
}
