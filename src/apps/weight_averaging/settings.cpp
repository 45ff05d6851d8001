// SPDX-License-Identifier: Apache-2.0
#include "apps/weight_averaging/settings.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>

#include <mobula/error.hpp>

namespace weight_averaging {
namespace {

/// A number within its limits. CLI11's own range lets "nan" through.
CLI::Validator within(double lowest, double highest) {
    CLI::Validator validator(
        [=](const std::string& text) -> std::string {
            double value = 0;
            if (CLI::detail::lexical_cast(text, value) && value >= lowest && value <= highest) {
                return {};
            }
            return "must be " + CLI::detail::to_string(lowest) + " to " +
                   CLI::detail::to_string(highest) + ", not " + text;
        },
        "");
    return validator;
}

/// CLI11's own conversion takes "-1" for the largest number that there is.
CLI::Validator whole_number() {
    return {[](const std::string& text) -> std::string {
                std::uint64_t number = 0;
                const char* const end = text.data() + text.size();
                const auto [stopped, error] = std::from_chars(text.data(), end, number);
                if (error == std::errc() && stopped == end) return {};
                return "must be a whole number from 0 to 18446744073709551615, not " + text;
            },
            ""};
}

/// Counts are bounded so that no product of them overflows.
constexpr double count_max = 1'000'000;

}  // namespace

CommandLine parse(const std::vector<std::string>& arguments) {
    CommandLine line;
    Settings& s = line.settings;
    CLI::App app(
        "Trains ConvNets in actors on Fashion-MNIST and averages their weights after every round.",
        "weight_averaging");
    app.option_defaults()->always_capture_default();
    // Scripts add to what they were given: the later one counts.
    app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    const auto count = within(1, count_max);
    app.add_option("--actors", s.actors, "Actors, each with a ConvNet of its own")
        ->check(within(1, 4096));
    app.add_option("--rounds", s.rounds, "Rounds: train in the actors, average")->check(count);
    app.add_option("--steps", s.steps, "Steps of each actor in a round")->check(count);
    app.add_option("--batch", s.batch, "Images in a step")->check(within(1, 60'000));
    app.add_option("--lr", s.rate, "Learning rate of the actors")->check(within(1e-9, 100));
    app.add_option("--momentum", s.momentum, "Momentum of the actors within a round")
        ->check(within(0, 1));
    const std::map<std::string, Outer> outers{{"mean", Outer::mean}, {"nesterov", Outer::nesterov}};
    std::string outer = "mean";
    app.add_option("--outer", outer, "How the next weights follow from the mean of the actors'")
        ->check(CLI::IsMember(outers));
    app.add_option("--outer-lr", s.outer.rate, "Rate of --outer nesterov")
        ->check(within(1e-9, 100));
    app.add_option("--outer-momentum", s.outer.momentum, "Momentum of --outer nesterov")
        ->check(within(0, 1));
    app.add_option("--seed", s.seed, "Of the first weights and the order of the images [1]")
        ->check(whole_number());
    app.add_option("--data", s.data, "Folder of the four IDX files");
    app.add_option("--output", s.output,
                   "Folder for the weights (HDF5) and the learning curve (SVG)");
    const CLI::Option* const resume =
        app.add_option("--resume", s.resume, "Go on from the weights of an earlier run")
            ->always_capture_default(false);
    app.add_flag("--serial", s.serial,
                 "The same network and number of images in one thread, without averaging");

    std::vector<const char*> argv;
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    try {
        app.parse(static_cast<int>(argv.size()), argv.data());
    } catch (const CLI::CallForHelp&) {
        line.help = app.help();
    } catch (const CLI::ParseError& error) {
        throw mobula::BadInput(error.what());
    }
    s.outer.kind = outers.at(outer);
    if (resume->count() > 0 && s.resume.empty()) {
        throw mobula::BadInput("--resume: an empty name is no checkpoint; it must be a file");
    }
    if (s.serial && !s.resume.empty()) {
        throw mobula::BadInput("--serial does not go on from a checkpoint: --resume has no use");
    }
    return line;
}

}  // namespace weight_averaging
