// SPDX-License-Identifier: Apache-2.0

/// Many at once: a million queued tasks, a million objects, what each takes of memory, and what an
/// idle rank takes of its core. Each runs once an iteration, so that memory is that of one batch.

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <thread>

#include "micro/cases.hpp"

namespace micro {
namespace {

using namespace std::chrono_literals;

[[nodiscard]] double now_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

[[nodiscard]] double resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    double pages = 0;
    double resident = 0;
    statm >> pages >> resident;
    return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

constexpr std::uint64_t sum_below(std::uint64_t count) { return count * (count - 1) / 2; }

/// Bytes that so many may take together; what few take is the grain of the allocators.
double allowed(std::size_t bytes_each, std::size_t count) {
    return static_cast<double>(bytes_each * count + (std::size_t{4} << 20U));
}

std::atomic<bool> gate_open{false};

/// Holds back all that depends on it. Sleeps on its worker, so it costs no CPU.
std::uint32_t gate() {
    while (!gate_open.load()) std::this_thread::sleep_for(1ms);
    return 1;
}

std::uint32_t after(std::uint32_t one, std::uint32_t number) { return one + number; }

/// Submits a million, then lets them run. Reports the submission's rate as the items' rate.
template <class Submit>
void queue(benchmark::State& state, Submit submit) {
    const std::size_t count = sizes.many;
    double submit_seconds = 0;
    double run_seconds = 0;
    double bytes = 0;
    for (auto _ : state) {
        std::vector<mobula::Ref<std::uint32_t>> refs(count);
        gate_open = false;
        const mobula::Ref<std::uint32_t> first =
            mobula::remote<gate>({.placement = mobula::Placement::on_rank(mobula::rank())});
        const double before = resident_bytes();
        const double start = now_seconds();
        for (std::size_t i = 0; i < count; ++i) {
            refs[i] = submit(first, static_cast<std::uint32_t>(i));
        }
        const double submitted = now_seconds();
        bytes = std::max(bytes, resident_bytes() - before);
        gate_open = true;
        std::uint64_t sum = 0;
        for (auto& ref : refs) {
            sum += *mobula::view(ref);
            ref = {};
        }
        const double end = now_seconds();
        check(sum == sum_below(count) + count, "the sum of all");
        check(bytes <= allowed(256 + 16, count), "a queued task takes more memory than it may");
        submit_seconds += submitted - start;
        run_seconds += end - submitted;
        state.SetIterationTime(submitted - start);
    }
    const auto rounds = static_cast<double>(state.iterations());
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * count));
    state.counters["submit_s"] = submit_seconds / rounds;
    state.counters["run_s"] = run_seconds / rounds;
    state.counters["bytes_each"] = bytes / static_cast<double>(count);
}

void objects(benchmark::State& state) {
    const std::size_t count = sizes.many;
    double bytes = 0;
    for (auto _ : state) {
        std::vector<mobula::Ref<std::uint32_t>> refs(count);
        const double before = resident_bytes();
        const double start = now_seconds();
        for (std::size_t i = 0; i < count; ++i) {
            refs[i] = mobula::put(static_cast<std::uint32_t>(i));
        }
        const double end = now_seconds();
        bytes = std::max(bytes, resident_bytes() - before);
        state.SetIterationTime(end - start);
        std::uint64_t sum = 0;
        for (const auto& ref : refs) sum += *mobula::view(ref);
        check(sum == sum_below(count), "the sum of all");
        check(bytes <= allowed(128, count), "an object takes more memory than it may");
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * count));
    state.counters["bytes_each"] = bytes / static_cast<double>(count);
}

[[nodiscard]] double cpu_seconds() {
    timespec spent{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return static_cast<double>(spent.tv_sec) + static_cast<double>(spent.tv_nsec) * 1e-9;
}

std::atomic<double> idle_share{-1};

/// A thread of its own looks at this process over a second, for a task would not be idleness.
void watch_idleness() {
    idle_share = -1;
    std::thread([] {
        std::this_thread::sleep_for(200ms);
        const double start = now_seconds();
        const double before = cpu_seconds();
        std::this_thread::sleep_for(1s);
        idle_share = (cpu_seconds() - before) / (now_seconds() - start);
    }).detach();
}
double watched_share() { return idle_share.load(); }
void nap() { std::this_thread::sleep_for(1400ms); }

void idle(benchmark::State& state) {
    const auto on = [](unsigned rank) {
        return mobula::TaskOptions{.placement = mobula::Placement::on_rank(rank)};
    };
    double worst = 0;
    double sum = 0;
    for (auto _ : state) {
        std::vector<mobula::Ref<void>> begun;
        for (unsigned r = 0; r < mobula::ranks(); ++r) {
            begun.push_back(mobula::remote<watch_idleness>(on(r)));
        }
        mobula::get(begun);
        mobula::get(mobula::remote<nap>(on(mobula::ranks() - 1)));
        for (unsigned r = 0; r < mobula::ranks(); ++r) {
            const double share = mobula::get(mobula::remote<watched_share>(on(r)));
            check(share >= 0, "no idleness was measured");
            worst = std::max(worst, share);
            sum += share;
        }
    }
    state.counters["idle_percent_worst"] = worst * 100;
    state.counters["idle_percent_mean"] =
        sum * 100 / static_cast<double>(state.iterations()) / mobula::ranks();
}

}  // namespace

void add_scale_cases() {
    benchmark::RegisterBenchmark("queue_1M_tasks",
                                 [](benchmark::State& state) {
                                     queue(state,
                                           [](const mobula::Ref<std::uint32_t>&, std::uint32_t i) {
                                               return mobula::remote<after>(1U, i);
                                           });
                                 })
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark(
        "queue_1M_waiting_tasks",
        [](benchmark::State& state) {
            queue(state, [](const mobula::Ref<std::uint32_t>& first, std::uint32_t i) {
                return mobula::remote<after>(first, i);
            });
        })
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark("put_1M_objects", objects)
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark("idle_cpu", idle)->Iterations(1)->Unit(benchmark::kMillisecond);
}

}  // namespace micro
