// SPDX-License-Identifier: Apache-2.0

/// Many ranks on few cores: starts, runs empty tasks spread over all ranks, stops. Prints one line
/// of JSON; whoever starts it measures the start and the stop around it.
///
///     mpirun -n 64 --oversubscribe --bind-to none bench_many_ranks [tasks]

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mobula/mobula.hpp>

namespace {

std::uint32_t rank_plus_one() { return mobula::rank() + 1; }

[[nodiscard]] double now_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

int driver(mobula::Job& job) {
    const std::size_t count =
        job.arguments.size() > 1 ? std::strtoul(job.arguments[1].c_str(), nullptr, 10) : 100'000;
    std::vector<mobula::TaskOptions> options(mobula::ranks());
    for (unsigned r = 0; r < mobula::ranks(); ++r) {
        options[r].placement = mobula::Placement::on_rank(r);
    }
    const double start = now_seconds();
    std::vector<mobula::Ref<std::uint32_t>> refs(count);
    std::uint64_t expected = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t r = i % mobula::ranks();
        refs[i] = mobula::remote<rank_plus_one>(options[r]);
        expected += r + 1;
    }
    std::uint64_t sum = 0;
    for (const auto& ref : refs) sum += *mobula::view(ref);
    const double seconds = now_seconds() - start;
    if (sum != expected) {
        std::fprintf(stderr, "wrong answer: the tasks ran on other ranks than they were given\n");
        return 1;
    }
    std::printf(
        "{\"program\": \"many_ranks\", \"ranks\": %u, \"tasks\": %zu, \"seconds\": %.6f, "
        "\"tasks_per_second\": %.0f}\n",
        mobula::ranks(), count, seconds, static_cast<double>(count) / seconds);
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
