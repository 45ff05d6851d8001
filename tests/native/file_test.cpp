// SPDX-License-Identifier: Apache-2.0
/// Goal: a file is replaced whole or not at all, and nothing but a regular file ever is. Method:
/// each kind of thing that can have the name, in a folder of the test's own.
#include "native/file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace mobula::native {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class ReplaceFile : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "mobula-test-XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        folder_ = name;
        path_ = folder_ / "status";
    }
    void TearDown() override { fs::remove_all(folder_); }

    std::string text() const {
        std::ifstream file(path_);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    bool alone() const {  // nothing is left beside it
        return std::distance(fs::directory_iterator(folder_), {}) == 1;
    }

    fs::path folder_, path_;
};

TEST_F(ReplaceFile, WritesAndReplaces) {
    EXPECT_EQ(replace_file(path_, "one"), "");
    EXPECT_EQ(replace_file(path_, "two"), "");
    EXPECT_EQ(text(), "two");
    EXPECT_TRUE(alone());
}

TEST_F(ReplaceFile, OverwritesWhatAKilledWriterLeft) {
    std::ofstream(path_.string() + ".part") << "half";
    EXPECT_EQ(replace_file(path_, "whole"), "");
    EXPECT_EQ(text(), "whole");
    EXPECT_TRUE(alone());
}

TEST_F(ReplaceFile, LeavesALinkAndItsTarget) {
    const fs::path target = folder_ / "target";
    std::ofstream(target) << "kept";
    fs::create_symlink(target, path_);
    EXPECT_THAT(replace_file(path_, "new"), HasSubstr("status is a symbolic link; only a regular"));
    EXPECT_TRUE(fs::is_symlink(path_));
    EXPECT_EQ(text(), "kept");
}

TEST_F(ReplaceFile, LeavesAFolder) {
    fs::create_directory(path_);
    EXPECT_THAT(replace_file(path_, "new"), HasSubstr("status is a folder"));
    EXPECT_TRUE(fs::is_directory(path_));
}

TEST_F(ReplaceFile, LeavesAPipeAndADevice) {
    ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
    EXPECT_THAT(replace_file(path_, "new"), HasSubstr("status is a device or pipe"));
    EXPECT_TRUE(fs::is_fifo(path_));
    EXPECT_THAT(why_not_replaceable("/dev/full"), HasSubstr("/dev/full is a device"));
}

TEST_F(ReplaceFile, LeavesALinkInTheNameOfThePart) {
    fs::create_symlink(folder_ / "nowhere", path_.string() + ".part");
    EXPECT_THAT(replace_file(path_, "new"), HasSubstr("status.part is a symbolic link"));
    EXPECT_FALSE(fs::exists(path_));
}

TEST_F(ReplaceFile, SaysWhyItCannot) {
    EXPECT_THAT(replace_file(folder_ / "no" / "status", "new"), HasSubstr("No such file"));
}

}  // namespace
}  // namespace mobula::native
