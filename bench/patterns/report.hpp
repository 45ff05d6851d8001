// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The command line and the output that the three programs have in common: one line of JSON for
/// each kernel size, with the best and the median of several rounds.

#include <chrono>
#include <string>
#include <vector>

#include "patterns/problem.hpp"

namespace patterns {

struct Request {
    Problem problem;
    std::vector<Pattern> patterns;
    std::vector<std::uint64_t> iterations{0};
    std::uint32_t bytes = 16;
    std::uint32_t rounds = 5;
    std::string variant;
};

/// Reads the command line; returns the exit code to leave with, or -1 to go on.
int read_request(Request& request, const std::string& what, std::vector<std::string> arguments,
                 const std::vector<std::string>& variants);

/// Calls body(edges) for each pattern and kernel size; `request.problem` is then the one to run.
template <class Body>
void for_each_problem(Request& request, Body&& body) {
    for (const Pattern pattern : request.patterns) {
        request.problem.pattern = pattern;
        const Edges edges(request.problem);
        for (const std::uint64_t iterations : request.iterations) {
            request.problem.iterations = iterations;
            body(edges);
        }
    }
}

/// Calls `body.template operator()<stamps>()` for the size of output that was asked for: 16 bytes
/// travel inside any message, 256 show what copies cost.
template <class Body>
auto with_bytes(std::uint32_t bytes, Body&& body) {
    if (bytes == 256) return body.template operator()<16>();
    return body.template operator()<1>();
}

[[nodiscard]] inline double seconds_now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

/// `seconds`: of each round; the first one warms up and is left out where there are more.
void report(const Request& request, const std::string& program, unsigned ranks, unsigned cores,
            const Edges& edges, std::vector<double> seconds);

}  // namespace patterns
