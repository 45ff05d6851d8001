// SPDX-License-Identifier: Apache-2.0

/// Ray's object cases, under the names that Ray's own list has for them, and the copies of plain
/// memory that are their floor, in the same process.

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "micro/cases.hpp"

namespace micro {
namespace {

using Numbers = mobula::Array<std::int64_t>;

std::uint64_t put_many(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) check(mobula::put(0).valid(), "put() gave nothing");
    return count;
}

const std::vector<std::int64_t>& source() {
    static const std::vector<std::int64_t> numbers = [] {
        std::vector<std::int64_t> filled(sizes.array);
        for (std::size_t i = 0; i < filled.size(); ++i) filled[i] = static_cast<std::int64_t>(i);
        return filled;
    }();
    return numbers;
}

/// Copies the first `count` numbers of the source into the store, as Ray's put does.
void put_copy(std::size_t count) {
    const mobula::Ref<Numbers> ref =
        mobula::put(Numbers::copy_of(std::span(source()).first(count)));
    const auto view = mobula::view(ref);
    check((*view)[count - 1] == static_cast<std::int64_t>(count - 1), "the array that was put");
}

std::uint64_t put_tenths() {
    for (int i = 0; i < 10; ++i) put_copy(sizes.array / 10);
    return 10;
}

template <auto function, class... A>
void run_ten(std::uint64_t expected, A... arguments) {
    std::vector<mobula::Ref<std::uint64_t>> counts;
    for (int i = 0; i < 10; ++i) {
        counts.push_back(
            mobula::remote<function>({.placement = mobula::Placement::spread()}, arguments...));
    }
    for (const std::uint64_t count : mobula::get(counts)) {
        check(count == expected, "a task did not put all");
    }
}

using IntRefs = std::vector<mobula::Ref<int>>;
IntRefs make_refs(int count) {
    IntRefs refs;
    for (int i = 0; i < count; ++i) refs.push_back(mobula::put(1));
    return refs;
}

void get_with_refs(benchmark::State& state) {
    const mobula::Ref<IntRefs> ref =
        mobula::remote<make_refs>({.placement = on_last_rank()}, 10'000);
    mobula::wait(std::vector{ref});
    for (auto _ : state) {
        const IntRefs refs = mobula::get(ref);
        check(refs.size() == 10'000 && refs.back().valid(), "an object that holds refs");
    }
}

struct Free {
    void operator()(void* memory) const noexcept { std::free(memory); }
};

void copy_memory(benchmark::State& state, std::size_t bytes, bool warm) {
    const std::vector<std::int64_t>& from = source();
    std::unique_ptr<void, Free> kept(std::malloc(bytes));
    std::memset(kept.get(), 1, bytes);
    for (auto _ : state) {
        std::unique_ptr<void, Free> fresh(warm ? nullptr : std::malloc(bytes));
        void* const into = warm ? kept.get() : fresh.get();
        std::memcpy(into, from.data(), bytes);
        benchmark::DoNotOptimize(into);
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes));
}

/// Objects made by the last rank, each got once by this one: how long the first get takes.
std::vector<mobula::Ref<Numbers>> make_arrays(std::size_t count, std::size_t elements) {
    std::vector<mobula::Ref<Numbers>> refs;
    for (std::size_t i = 0; i < count; ++i) {
        Numbers numbers({elements});
        std::memset(numbers.mutable_data(), 0, elements * sizeof(std::int64_t));
        numbers.mutable_data()[elements - 1] = static_cast<std::int64_t>(i + 1);
        refs.push_back(mobula::put(std::move(numbers)));
    }
    return refs;
}

void first_get(benchmark::State& state, std::size_t bytes) {
    constexpr std::size_t count = 8;
    const std::size_t elements = bytes / sizeof(std::int64_t);
    for (auto _ : state) {
        const std::vector<mobula::Ref<Numbers>> refs = mobula::get(
            mobula::remote<make_arrays>({.placement = on_last_rank()}, count, elements));
        std::chrono::nanoseconds spent{};
        for (std::size_t i = 0; i < count; ++i) {
            const auto start = std::chrono::steady_clock::now();
            const Numbers numbers = mobula::get(refs[i]);
            spent += std::chrono::steady_clock::now() - start;
            check(numbers.size() == elements &&
                      numbers[elements - 1] == static_cast<std::int64_t>(i + 1),
                  "an array of another rank");
        }
        state.SetIterationTime(std::chrono::duration<double>(spent).count());
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * count));
}

void again_get(benchmark::State& state, std::size_t bytes) {
    const std::size_t elements = bytes / sizeof(std::int64_t);
    const mobula::Ref<Numbers> ref = mobula::get(
        mobula::remote<make_arrays>({.placement = on_last_rank()}, std::size_t{1}, elements))[0];
    for (auto _ : state) {
        const Numbers numbers = mobula::get(ref);
        check(numbers[elements - 1] == 1, "an array of another rank");
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

}  // namespace

void add_object_cases() {
    add("single_client_get_calls_Plasma_Store", 1, [](benchmark::State& state) {
        const mobula::Ref<int> ref = mobula::put(0);
        for (auto _ : state) check(mobula::get(ref) == 0, "the number that was put");
    });
    add_step("single_client_put_calls_Plasma_Store", 1, [] { put_many(1); });
    add_step("multi_client_put_calls_Plasma_Store", 1000,
             [] { run_ten<put_many>(100, std::size_t{100}); });
    add("single_client_get_object_containing_10k_refs", 1, get_with_refs);
    add_step("single_client_put_gigabytes", 1, [] {
        put_copy(sizes.array);
    })->Unit(benchmark::kMillisecond);
    add_step("multi_client_put_gigabytes", 100, [] {
        run_ten<put_tenths>(10);
    })->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark("floor_memcpy_800MB_warm", copy_memory, sizes.array * 8, true)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark("floor_memcpy_800MB_fresh", copy_memory, sizes.array * 8, false)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
    for (const auto& [name, bytes] :
         {std::pair<const char*, std::size_t>{"64KiB", std::size_t{64} << 10U},
          {"1MiB", std::size_t{1} << 20U},
          {"16MiB", std::size_t{16} << 20U}}) {
        const std::string suffix = name;
        benchmark::RegisterBenchmark(("first_get_" + suffix).c_str(), first_get, bytes)
            ->UseManualTime()
            ->Iterations(20);  // making the arrays takes longer than what is measured
        benchmark::RegisterBenchmark(("again_get_" + suffix).c_str(), again_get, bytes)
            ->UseRealTime();
    }
}

}  // namespace micro
