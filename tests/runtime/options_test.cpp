// SPDX-License-Identifier: Apache-2.0
/// Goal: every setting can be given in both ways, and whatever is wrong is refused with a sentence
/// that names it. Method: the pure parser, fed with arguments and environments; each row of the
/// table is found through help().
#include "runtime/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include <mobula/error.hpp>

#include "runtime/quantity.hpp"

namespace mobula::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Options parse(std::vector<std::string> environment, std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), "program");
    return Options::parse(arguments, environment);
}

std::string refusal(std::vector<std::string> environment, std::vector<std::string> arguments = {}) {
    try {
        static_cast<void>(parse(std::move(environment), std::move(arguments)));
    } catch (const BadInput& bad) {
        return bad.what();
    }
    return "accepted";
}

TEST(Options, DefaultsStandWhenNothingIsGiven) {
    const Options options = parse({"PATH=/bin", "MOBULAX=1"}, {"--seed=3"});
    EXPECT_EQ(options.workers, 0U);
    EXPECT_EQ(options.spin_us, -1);
    EXPECT_EQ(options.inline_bytes, 4096U);
    EXPECT_EQ(options.stall_seconds, 30);
    EXPECT_TRUE(options.forward_output);
    EXPECT_TRUE(options.origins.empty());
}

TEST(Options, EnvironmentThenCommandLine) {
    const Options options =
        parse({"MOBULA_WORKERS=3", "MOBULA_LOG_LEVEL=debug"}, {"--mobula-workers=5"});
    EXPECT_EQ(options.workers, 5U);
    EXPECT_EQ(options.log_level, log::Level::debug);
    EXPECT_THAT(options.effective(), HasSubstr("workers = 5 (command line, --mobula-workers)\n"));
    EXPECT_THAT(options.effective(),
                HasSubstr("log_level = debug (environment, MOBULA_LOG_LEVEL)\n"));
    EXPECT_THAT(options.effective(), HasSubstr("stack_bytes = 8 MiB (default)\n"));
    EXPECT_THAT(options.effective(), HasSubstr("spin_us = auto (default)\n"));
}

TEST(Options, RefusesOnOneLine) {
    for (const std::string& sentence :
         {refusal({"MOBULA_WORKERS=two\nlines"}), refusal({"MOBULA_RESOURCES=a=1,cpus=1\n"}),
          refusal({"MOBULA_RESOURCES=a\n=1,a\n=1"}), refusal({}, {"--mobula-x\ty\n=1"})}) {
        EXPECT_EQ(sentence.find_first_of("\n\t"), std::string::npos) << sentence;
    }
    EXPECT_THAT(refusal({"MOBULA_WORKERS=two\nlines"}), HasSubstr("MOBULA_WORKERS=two\\nlines is"));
}

TEST(Options, TakesOnlyItsOwnArguments) {
    std::vector<std::string> arguments{
        "program", "--mobula-verb=push", "a", "--mobula-workers=2", "-n", "--", "--mobula-typo"};
    const Options options = Options::parse(arguments, {});
    EXPECT_EQ(options.verb, "push");
    EXPECT_THAT(arguments, ElementsAre("program", "a", "-n", "--", "--mobula-typo"));
}

TEST(Options, ReadLeavesArgvWhole) {
    std::string words[] = {"program", "--mobula-stall-abort", "a", "--", "--mobula-b"};
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    int argc = 5;
    ::setenv("MOBULA_EXIT_WAIT_S", "250ms", 1);
    const Options options = Options::read(argc, argv.data());
    ::unsetenv("MOBULA_EXIT_WAIT_S");
    EXPECT_TRUE(options.stall_abort);
    EXPECT_EQ(options.exit_wait_s, 0.25);
    ASSERT_EQ(argc, 4);
    EXPECT_EQ(argv[1], words[2].data());
    EXPECT_EQ(argv[3], words[4].data());
    EXPECT_EQ(argv[4], nullptr);
}

TEST(Options, UnitsOfSizesAndTimes) {
    EXPECT_EQ(parse({"MOBULA_ARENA_BYTES=1.5GiB"}).arena_bytes, std::size_t{3} << 29U);
    EXPECT_EQ(parse({"MOBULA_ARENA_BYTES=64 MiB"}).arena_bytes, std::size_t{64} << 20U);
    EXPECT_EQ(parse({"MOBULA_SPIN_US=2ms"}).spin_us, 2000);
    EXPECT_EQ(parse({"MOBULA_DEAD_AFTER_MS=3s"}).dead_after_ms, 3000);
    EXPECT_EQ(parse({"MOBULA_STALL_SECONDS=2min"}).stall_seconds, 120);
    EXPECT_EQ(parse({"MOBULA_STALL_SECONDS=0.5"}).stall_seconds, 0.5);
    EXPECT_EQ(parse({"MOBULA_SPIN_US=auto"}).spin_us, -1);
}

TEST(Options, YesAndNo) {
    for (const char* yes : {"yes", "true", "on", "1"}) {
        EXPECT_TRUE(parse({std::string("MOBULA_STALL_ABORT=") + yes}).stall_abort);
    }
    for (const char* no : {"no", "false", "off", "0"}) {
        EXPECT_FALSE(parse({std::string("MOBULA_FORWARD_OUTPUT=") + no}).forward_output);
    }
    EXPECT_TRUE(parse({}, {"--mobula-stall-abort"}).stall_abort);
}

TEST(Options, CustomResources) {
    const Options options = parse({"MOBULA_RESOURCES=accel=1,disk=2.5"});
    EXPECT_EQ(options.resources, (Resources{{"accel", 1}, {"disk", 2.5}}));
    EXPECT_THAT(options.effective(), HasSubstr("resources = accel=1,disk=2.5 (env"));
    EXPECT_TRUE(parse({"MOBULA_RESOURCES="}).resources.empty());
    EXPECT_THAT(refusal({"MOBULA_RESOURCES=accel"}), HasSubstr("as accel=1,disk=2.5"));
    EXPECT_THAT(refusal({"MOBULA_RESOURCES=accel=-1"}), HasSubstr("not allowed"));
    EXPECT_THAT(refusal({"MOBULA_RESOURCES=cpus=4"}), HasSubstr("set by MOBULA_WORKERS"));
    EXPECT_THAT(refusal({"MOBULA_RESOURCES=a=1,a=2"}), HasSubstr("gives a twice"));
}

TEST(Options, UnknownNamesAreRefusedWithAdvice) {
    EXPECT_EQ(refusal({"MOBULA_WORKRES=3"}),
              "unknown environment variable MOBULA_WORKRES; did you mean MOBULA_WORKERS?");
    EXPECT_EQ(refusal({"MOBULA_QUUX=3"}),
              "unknown environment variable MOBULA_QUUX; --mobula-help lists all");
    EXPECT_EQ(refusal({}, {"--mobula-loglevel=info"}),
              "unknown option --mobula-loglevel; did you mean --mobula-log-level?");
    EXPECT_EQ(refusal({}, {"--mobula-hlep"}),
              "unknown option --mobula-hlep; did you mean --mobula-help?");
    EXPECT_EQ(refusal({"MOBULA_BUILD_DIR=/x"}), "accepted");
}

TEST(Options, BadValuesAreRefusedWithWhatIsAllowed) {
    EXPECT_THAT(refusal({"MOBULA_INLINE_BYTES=33KiB"}), HasSubstr("to 32 KiB"));
    EXPECT_EQ(refusal({"MOBULA_WORKERS=many"}),
              "MOBULA_WORKERS=many is not allowed; it must be a whole number from 1 to 4096, or "
              "auto: from the CPU binding");
    EXPECT_EQ(refusal({"MOBULA_HEARTBEAT_MS=1h"}),
              "MOBULA_HEARTBEAT_MS=1h is not allowed; it must be a time in whole milliseconds, or "
              "with ms or s from 10 ms to 60000 ms");
    for (const char* bad :
         {"MOBULA_WORKERS=0",          "MOBULA_DRIVER_ALONE=2",    "MOBULA_WORKERS=-1",
          "MOBULA_WORKERS=1.5",        "MOBULA_WORKERS=",          "MOBULA_WORKERS= 1",
          "MOBULA_WORKERS=1 ",         "MOBULA_WORKERS=4097",      "MOBULA_WORKERS=nan",
          "MOBULA_WORKERS=1e99",       "MOBULA_WORKERS",           "MOBULA_SPIN_US=-2",
          "MOBULA_SPIN_US=1.5",        "MOBULA_STALL_SECONDS=inf", "MOBULA_INLINE_BYTES=1GiB",
          "MOBULA_STACK_BYTES=1KiB",   "MOBULA_ARENA_BYTES=0.5",   "MOBULA_ARENA_BYTES=4MB",
          "MOBULA_VERB=pull",          "MOBULA_LOG_LEVEL=loud",    "MOBULA_STALL_ABORT=maybe",
          "MOBULA_BACKLOG_BYTES=auto", "MOBULA_GPUS=-1",           "MOBULA_SPIN_US=-1"}) {
        EXPECT_THAT(refusal({bad}), HasSubstr("not allowed; it must be")) << bad;
    }
    EXPECT_THAT(refusal({}, {"--mobula-workers"}), HasSubstr("needs a value"));
    EXPECT_THAT(refusal({"MOBULA_HEARTBEAT_MS=1500"}), HasSubstr("at least twice heartbeat_ms"));
}

TEST(Options, HelpListsEverySettingAndEveryDefaultIsAllowed) {
    const std::string help = Options::help();
    EXPECT_THAT(help, HasSubstr("yes or no; the argument without a value: yes; default: no"));
    EXPECT_TRUE(parse({}, {"--mobula-help"}).help_wanted);
    std::istringstream lines(Options().effective());
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
        std::string name = line.substr(0, line.find(' '));
        std::string value = line.substr(line.find('=') + 2);
        value.resize(value.rfind(" ("));
        for (char& c : name) c = c == '_' ? '-' : c;
        EXPECT_THAT(help, HasSubstr("--mobula-" + name + "=")) << name;
        if (value == "none") value.clear();
        EXPECT_EQ(refusal({}, {"--mobula-" + name + "=" + value}), "accepted") << line;
    }
    int listed = 0;
    for (std::size_t at = 0; (at = help.find("=...\n", at)) != std::string::npos; ++at) ++listed;
    EXPECT_EQ(count, listed);
    EXPECT_GE(count, 22);
}

TEST(Quantity, PrintsWhatItParses) {
    for (const double bytes : {0.0, 1.0, 1024.0, 1025.0, 1536.0, 1048576.0, 3.0 * (1U << 29U)}) {
        const std::string text = print_bytes(bytes);
        const std::string back = text.substr(0, text.find(" bytes"));
        EXPECT_EQ(parse_bytes(back), bytes) << text;
    }
    EXPECT_EQ(print_bytes(1536), "1.5 KiB");
    EXPECT_EQ(print_bytes(1025), "1025 bytes");
}

}  // namespace
}  // namespace mobula::runtime
