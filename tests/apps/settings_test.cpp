// SPDX-License-Identifier: Apache-2.0
// Goal: the command line is taken as it is meant, and everything else refused in one sentence.
#include "apps/weight_averaging/settings.hpp"

#include <gmock/gmock.h>

#include "temporary_folder.hpp"

using testing::HasSubstr;
namespace wa = weight_averaging;

namespace {

wa::CommandLine parse(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "weight_averaging");
    return wa::parse(arguments);
}

std::string refusal(const std::vector<std::string>& arguments) {
    return refusal_of([&] { static_cast<void>(parse(arguments)); });
}

}  // namespace

TEST(SettingsTest, TakesWhatIsGiven) {
    const wa::Settings settings =
        parse({"--actors", "3",          "--rounds=7", "--steps", "5",
               "--batch",  "16",         "--lr",       "0.1",     "--outer",
               "nesterov", "--outer-lr", "0.5",        "--seed",  "18446744073709551615",
               "--output", "out",        "--data",     "here",    "--resume",
               "old.h5"})
            .settings;
    EXPECT_EQ(settings.actors, 3U);
    EXPECT_EQ(settings.rounds, 7U);
    EXPECT_EQ(settings.slice(), 80U);
    EXPECT_EQ(settings.round_images(), 240U);
    EXPECT_EQ(settings.rate, 0.1);
    EXPECT_EQ(settings.outer.kind, wa::Outer::nesterov);
    EXPECT_EQ(settings.outer.rate, 0.5);
    EXPECT_EQ(settings.seed, 18446744073709551615U);
    EXPECT_EQ(settings.output, "out");
    EXPECT_EQ(settings.data, "here");
    EXPECT_EQ(settings.resume, "old.h5");
    EXPECT_FALSE(settings.serial);
}

TEST(SettingsTest, DefaultsAreKeptAndListed) {
    EXPECT_EQ(parse({}).settings.actors, wa::Settings{}.actors);
    EXPECT_FALSE(parse({}).settings.seed);
    EXPECT_EQ(parse({}).help, "");
    const std::string help = parse({"--help"}).help;
    for (const char* option : {"--actors", "--rounds", "--steps", "--batch", "--lr", "--outer",
                               "--seed", "--data", "--output", "--resume", "--serial"}) {
        EXPECT_THAT(help, HasSubstr(option));
    }
}

TEST(SettingsTest, RefusesTheRest) {
    EXPECT_THAT(refusal({"--actors", "0"}), HasSubstr("--actors"));
    EXPECT_THAT(refusal({"--actors", "-1"}), HasSubstr("--actors"));
    EXPECT_THAT(refusal({"--actors", "two"}), HasSubstr("two"));
    EXPECT_THAT(refusal({"--rounds", "0"}), HasSubstr("--rounds"));
    EXPECT_THAT(refusal({"--steps", "1e99"}), HasSubstr("--steps"));
    EXPECT_THAT(refusal({"--batch", "2.5"}), HasSubstr("2.5"));
    EXPECT_THAT(refusal({"--lr", "nan"}), HasSubstr("--lr"));
    EXPECT_THAT(refusal({"--lr", "-0.1"}), HasSubstr("--lr"));
    EXPECT_THAT(refusal({"--outer", "adam"}), HasSubstr("adam"));
    EXPECT_THAT(refusal({"--seed", "-1"}), HasSubstr("--seed"));
    EXPECT_THAT(refusal({"--seed", "18446744073709551616"}), HasSubstr("--seed"));
    EXPECT_THAT(refusal({"--colour"}), HasSubstr("--colour"));
    EXPECT_THAT(refusal({"more"}), HasSubstr("more"));
    EXPECT_THAT(refusal({"--rounds"}), HasSubstr("--rounds"));
    EXPECT_THAT(refusal({"--serial", "--resume", "old.h5"}), HasSubstr("--serial"));
    EXPECT_EQ(parse({"--rounds", "2", "--rounds", "3"}).settings.rounds, 3U);
}
