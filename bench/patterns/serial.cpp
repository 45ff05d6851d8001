// SPDX-License-Identifier: Apache-2.0

/// The dependency patterns in one process, as plain loops: what the tasks themselves cost.

#include <utility>

#include "patterns/report.hpp"

namespace {

using namespace patterns;

template <std::size_t stamps>
double run_once(const Problem& problem, const Edges& edges) {
    std::vector<Output<stamps>> before(problem.width);
    std::vector<Output<stamps>> now(problem.width);
    std::vector<const Output<stamps>*> inputs;
    const double start = seconds_now();
    for (std::uint32_t t = 0; t < problem.steps; ++t) {
        for (std::uint32_t p = 0; p < active(problem, t); ++p) {
            inputs.clear();
            for (const std::uint32_t q : edges.predecessors(t, p)) inputs.push_back(&before[q]);
            run_point<stamps>(problem, edges, t, p, inputs, now[p]);
        }
        std::swap(before, now);
    }
    return seconds_now() - start;
}

}  // namespace

int main(int argc, char** argv) {
    Request request;
    const int code = read_request(request, "dependency patterns, serial",
                                  std::vector<std::string>(argv, argv + argc), {});
    if (code >= 0) return code;
    for_each_problem(request, [&](const Edges& edges) {
        std::vector<double> seconds;
        for (std::uint32_t round = 0; round < request.rounds; ++round) {
            seconds.push_back(with_bytes(request.bytes, [&]<std::size_t stamps>() {
                return run_once<stamps>(request.problem, edges);
            }));
        }
        report(request, "serial", 1, 1, edges, std::move(seconds));
    });
    return 0;
}
