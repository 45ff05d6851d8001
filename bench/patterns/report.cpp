// SPDX-License-Identifier: Apache-2.0
#include "patterns/report.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

namespace patterns {

int read_request(Request& request, const std::string& what, std::vector<std::string> arguments,
                 const std::vector<std::string>& variants) {
    CLI::App app(what);
    std::vector<std::string> known(pattern_names.begin(), pattern_names.end());
    std::vector<std::string> chosen{std::string(name_of(request.problem.pattern))};
    known.emplace_back("all");
    app.add_option("--pattern", chosen, "dependency patterns, one after another")
        ->delimiter(',')
        ->check(CLI::IsMember(known))
        ->capture_default_str();
    app.add_option("--steps", request.problem.steps)->check(CLI::Range(1U, 1U << 30U));
    app.add_option("--width", request.problem.width, "points per step")
        ->check(CLI::Range(1U, 1U << 20U));
    app.add_option("--radix", request.problem.radix)->check(CLI::Range(1U, 1U << 20U));
    app.add_option("--period", request.problem.period)->check(CLI::Range(1U, 1U << 20U));
    app.add_option("--fraction", request.problem.fraction)->check(CLI::Range(0.0, 1.0));
    app.add_option("--iterations", request.iterations, "of the kernel; several: a sweep")
        ->delimiter(',');
    app.add_option("--bytes", request.bytes, "per output: 16 or 256")
        ->check(CLI::IsMember({16U, 256U}));
    app.add_option("--rounds", request.rounds)->check(CLI::Range(1U, 1000U));
    if (!variants.empty()) {
        request.variant = variants.front();
        app.add_option("--variant", request.variant)
            ->check(CLI::IsMember(variants))
            ->capture_default_str();
    }
    std::reverse(arguments.begin(), arguments.end());
    arguments.pop_back();
    try {
        app.parse(arguments);
    } catch (const CLI::ParseError& error) {
        return app.exit(error);
    }
    if (std::find(chosen.begin(), chosen.end(), "all") != chosen.end()) {
        chosen.assign(pattern_names.begin(), pattern_names.end());
    }
    for (const std::string& name : chosen) {
        request.patterns.push_back(pattern_of(name).value_or(Pattern::stencil_1d));
    }
    return -1;
}

void report(const Request& request, const std::string& program, unsigned ranks, unsigned cores,
            const Edges& edges, std::vector<double> seconds) {
    if (seconds.size() > 1) seconds.erase(seconds.begin());
    std::sort(seconds.begin(), seconds.end());
    const double best = seconds.front();
    const double median = seconds[seconds.size() / 2];
    const auto tasks = static_cast<double>(edges.tasks());
    std::printf(
        "{\"program\": \"%s\", \"variant\": \"%s\", \"pattern\": \"%s\", \"ranks\": %u, "
        "\"cores\": %u, \"steps\": %u, \"width\": %u, \"radix\": %u, \"bytes\": %u, "
        "\"iterations\": %llu, \"tasks\": %.0f, \"edges\": %llu, \"rounds\": %zu, "
        "\"seconds\": %.9f, \"seconds_median\": %.9f, \"seconds_max\": %.9f, "
        "\"us_per_task\": %.5f, \"us_per_task_median\": %.5f, \"gflops\": %.5f}\n",
        program.c_str(), request.variant.c_str(),
        std::string(name_of(request.problem.pattern)).c_str(), ranks, cores, request.problem.steps,
        request.problem.width, request.problem.radix, request.bytes,
        static_cast<unsigned long long>(request.problem.iterations), tasks,
        static_cast<unsigned long long>(edges.edges()), seconds.size(), best, median,
        seconds.back(), best * cores / tasks * 1e6, median * cores / tasks * 1e6,
        static_cast<double>(request.problem.iterations) * flops_per_iteration * tasks / best *
            1e-9);
    std::fflush(stdout);
}

}  // namespace patterns
