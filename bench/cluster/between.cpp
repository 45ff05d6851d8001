// SPDX-License-Identifier: Apache-2.0

/// Between two hosts: the time of an actor's call, calls per second, bytes per second of get().
/// bench/cluster/link runs it beside ucx_perftest. Checks every answer; rank 0 prints one line of
/// JSON.
///
///     srun --mpi=pmix -N2 -n2 bench_between [calls] [megabytes]

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <vector>

#include <mobula/mobula.hpp>

namespace {

using Numbers = mobula::Array<std::uint64_t>;

class Counter {
public:
    std::uint64_t next(std::uint64_t by) { return count_ += by; }

private:
    std::uint64_t count_ = 0;
};

constexpr std::size_t array_bytes = std::size_t{8} << 20U;
constexpr unsigned other = 1;

Numbers make(std::uint64_t first) {
    Numbers numbers({array_bytes / sizeof(std::uint64_t)});
    std::iota(numbers.mutable_data(), numbers.mutable_data() + numbers.size(), first);
    return numbers;
}

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

int wrong(const char* what) {
    std::fprintf(stderr, "between: wrong answer of %s\n", what);
    return 1;
}

/// How long it takes to get so many arrays, one after another, of the other rank; below 0: one was
/// wrong.
double fetch(std::size_t arrays, bool keep) {
    std::vector<mobula::Ref<Numbers>> made;
    for (std::size_t i = 0; i < arrays; ++i) {
        made.push_back(mobula::remote<make>({.placement = mobula::Placement::on_rank(other)}, i));
    }
    mobula::wait(made, made.size());
    double seconds = 0;
    for (std::size_t i = 0; i < arrays; ++i) {
        const double start = now();
        const Numbers numbers = mobula::get(made[i]);
        seconds += now() - start;
        for (std::size_t k = 0; k < numbers.size(); ++k) {
            if (numbers.data()[k] != i + k) return -1;
        }
        if (!keep) made[i] = {};
    }
    return seconds;
}

int driver(mobula::Job& job) {
    const auto argument = [&](std::size_t number, std::size_t otherwise) {
        return job.arguments.size() > number
                   ? std::strtoul(job.arguments[number].c_str(), nullptr, 10)
                   : otherwise;
    };
    const std::size_t calls = argument(1, 2000);
    const std::size_t arrays =
        std::max<std::size_t>(argument(2, 256) * (1U << 20U) / array_bytes, 1);
    if (job.nodes != 2 || job.ranks != 2) return wrong("the launcher: this needs two hosts");
    const mobula::Placement there = mobula::Placement::on_rank(other);

    const mobula::Actor<Counter> counter = mobula::spawn<Counter>({.placement = there});
    std::uint64_t expected = 0;
    std::vector<double> times;
    for (std::size_t i = 0; i < calls; ++i) {
        const double start = now();
        if (mobula::get(counter.call<&Counter::next>(i)) != (expected += i)) return wrong("a call");
        times.push_back(now() - start);
    }
    std::sort(times.begin(), times.end());

    const std::size_t flood = 20 * calls;
    const double flood_start = now();
    std::vector<mobula::Ref<std::uint64_t>> refs;
    refs.reserve(flood);
    for (std::size_t i = 0; i < flood; ++i) refs.push_back(counter.call<&Counter::next>(1));
    for (const auto& ref : refs) {
        if (mobula::get(ref) != ++expected) return wrong("one of many calls");
    }
    const double flood_seconds = now() - flood_start;

    // The first time all are kept, so each goes to memory that was never used.
    const double fresh_seconds = fetch(arrays, true);
    const double fetch_seconds = fetch(arrays, false);
    if (fresh_seconds < 0 || fetch_seconds < 0) return wrong("get");
    const auto bytes = static_cast<double>(arrays * array_bytes);
    std::printf(
        "{\"call_us\": %.2f, \"calls_per_second\": %.0f, \"get_MB_per_second\": %.1f, "
        "\"fresh_MB_per_second\": %.1f}\n",
        times[times.size() / 2] * 1e6, static_cast<double>(flood) / flood_seconds,
        bytes / fetch_seconds / 1e6, bytes / fresh_seconds / 1e6);
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
