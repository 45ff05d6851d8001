// SPDX-License-Identifier: Apache-2.0
#pragma once

/// What the benchmark files share. A wrong answer throws, which ends the program with an error:
/// a fast wrong answer is no result.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <mobula/mobula.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace micro {

inline void check(bool right, const char* what) {
    if (!right) throw std::runtime_error(std::string("wrong answer: ") + what);
}

/// The two bytes that Ray's no-op tasks and methods return.
inline constexpr std::uint16_t ok = 0x6b6f;
inline std::uint16_t small_value() { return ok; }

inline void check_all_ok(const std::vector<mobula::Ref<std::uint16_t>>& refs) {
    std::size_t right = 0;
    for (const std::uint16_t value : mobula::get(refs)) right += value == ok ? 1 : 0;
    check(right == refs.size(), "a no-op returned something else");
}

/// Half the logical CPUs of the machine, at least one: the number of actors in Ray's n:n cases.
[[nodiscard]] unsigned half_the_cpus();

/// The last rank: another one than the driver's where there is one.
[[nodiscard]] inline mobula::Placement on_last_rank() {
    return mobula::Placement::on_rank(mobula::ranks() - 1);
}

/// Adds a benchmark measured by the clock on the wall; `items` operations an iteration.
template <class Body>
benchmark::internal::Benchmark* add(const char* name, std::int64_t items, Body body) {
    return benchmark::RegisterBenchmark(
               name,
               [items, body](benchmark::State& state) {
                   body(state);
                   state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * items);
               })
        ->UseRealTime()
        ->MeasureProcessCPUTime();
}

/// The same for one that runs its loop itself, `step` being one iteration.
template <class Step>
benchmark::internal::Benchmark* add_step(const char* name, std::int64_t items, Step step) {
    return add(name, items, [step](benchmark::State& state) {
        for (auto _ : state) step();
    });
}

/// How much the cases do; the small sizes are for a test of the programs. The same on all ranks,
/// set before any case runs.
struct Sizes {
    /// Ray's array: 100 x 2^20 numbers, which it calls 0.8 GB.
    std::size_t array = std::size_t{100} << 20U;
    std::size_t many = 1'000'000;
    std::size_t stream = 100'000;
    std::size_t client_tasks = 10'000;
    std::size_t client_calls = 5000;
    static constexpr Sizes small() { return {1000, 1000, 1000, 100, 50}; }
};
inline Sizes sizes;

void add_task_cases();
void add_actor_cases();
void add_object_cases();
void add_rank_cases();
void add_scale_cases();

}  // namespace micro
