// SPDX-License-Identifier: Apache-2.0
// Goal: the progress line tells what is known and no more, and never exceeds the terminal.
#include "apps/weight_averaging/progress.hpp"

#include <gmock/gmock.h>

#include <memory>

#include "temporary_folder.hpp"

using testing::HasSubstr;
using testing::Not;
namespace wa = weight_averaging;

TEST(ProgressTest, TellsWhatIsKnown) {
    wa::ProgressState state{.rounds = 12, .images_total = 1000};
    EXPECT_EQ(wa::progress_text(state), "round  0/12  0 images/s");
    state = {3, 12, 250, 1000, 10, 0.51234, 0.858};
    EXPECT_EQ(wa::progress_text(state),
              "round  3/12  loss 0.512  accuracy 85.80 %  25 images/s  0:30 left");
    state = {12, 12, 1000, 1000, 10, 0.5, 0.9};
    EXPECT_THAT(wa::progress_text(state), Not(HasSubstr("left")));
}

TEST(ProgressTest, CountsLongTimesInHours) {
    const wa::ProgressState state{1, 9, 1, 7202, 1, {}, {}};
    EXPECT_THAT(wa::progress_text(state), HasSubstr("2:00:01 left"));
}

TEST(ProgressTest, FitsEveryTerminal) {
    const wa::ProgressState state{3, 12, 250, 1000, 10, 0.5, 0.858};
    for (std::size_t columns = 0; columns < 200; ++columns) {
        EXPECT_LE(wa::progress_bar(state, columns).size(), columns);
    }
    EXPECT_THAT(wa::progress_bar(state, 120),
                HasSubstr("[#######-----------------------]  25 %  round"));
    EXPECT_THAT(wa::progress_bar(state, 60), Not(HasSubstr("[")));
}

TEST(ProgressTest, WritesLinesWhereThereIsNoTerminal) {
    const TemporaryFolder folder;
    {
        const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
            std::fopen((folder / "out").c_str(), "w"), std::fclose);
        wa::Progress progress(file.get(), 0, 2, 20, 0);
        progress.add_images(10);
        progress.tick();
        progress.add_point({1, 10, 1.0, 0.5, 0.75});
        progress.add_images(10);
        progress.add_point({2, 20, 2.0, 0.25, 0.875});
    }
    const std::string text = read_bytes(folder / "out");
    EXPECT_THAT(text, testing::MatchesRegex("round 1/2  loss 0.500  accuracy 75.00 %.*\n"
                                            "round 2/2  loss 0.250  accuracy 87.50 %.*\n"));
    EXPECT_THAT(text, Not(HasSubstr("\r")));
}
