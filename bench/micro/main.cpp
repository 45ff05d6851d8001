// SPDX-License-Identifier: Apache-2.0

/// Google Benchmark on the ranks of a job: the driver runs the cases one after another. Options
/// are Google Benchmark's (--benchmark_filter, --benchmark_out, ...) and --small, which makes all
/// sizes small to try the program.

#include <algorithm>
#include <exception>
#include <span>
#include <string_view>
#include <thread>

#include "micro/cases.hpp"

namespace micro {

unsigned half_the_cpus() { return std::max(1U, std::thread::hardware_concurrency() / 2); }

}  // namespace micro

namespace {

constexpr const char* small_sizes = "--small";

int driver(mobula::Job& job) {
    // Google Benchmark removes its own options and keeps the pointers.
    std::vector<std::string> arguments = job.arguments;
    std::erase(arguments, small_sizes);
    const auto given = [&](const std::string& option) {
        return std::any_of(arguments.begin(), arguments.end(),
                           [&](const std::string& each) { return each.starts_with(option); });
    };
    if (!given("--benchmark_repetitions")) arguments.emplace_back("--benchmark_repetitions=5");
    if (!given("--benchmark_display_aggregates_only")) {
        arguments.emplace_back("--benchmark_display_aggregates_only=true");
    }
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    int count = static_cast<int>(pointers.size());
    pointers.push_back(nullptr);
    benchmark::Initialize(&count, pointers.data());
    if (count > 1) {
        throw mobula::BadInput(std::string("bench_micro: unknown argument ") + pointers[1]);
    }
    benchmark::AddCustomContext("ranks", std::to_string(mobula::ranks()));
    benchmark::AddCustomContext("workers", std::to_string(mobula::workers()));
    micro::add_task_cases();
    micro::add_actor_cases();
    micro::add_object_cases();
    micro::add_rank_cases();
    micro::add_scale_cases();
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    for (const char* argument : std::span(argv, static_cast<std::size_t>(argc))) {
        if (argument == std::string_view(small_sizes)) micro::sizes = micro::Sizes::small();
    }
    return mobula::run(argc, argv, driver);
}
