// SPDX-License-Identifier: Apache-2.0

/// The engine's own budgets: tasks of the same rank, and the way to another rank and back.

#include "micro/cases.hpp"

namespace micro {
namespace {

using Refs = std::vector<mobula::Ref<std::uint16_t>>;

struct Echo {
    std::uint16_t value() { return ok; }
};

void stream_tasks(benchmark::State& state, unsigned rank, std::size_t count) {
    const mobula::TaskOptions options{.placement = mobula::Placement::on_rank(rank)};
    Refs refs(count);
    for (auto _ : state) {
        for (auto& ref : refs) ref = mobula::remote<small_value>(options);
        check_all_ok(refs);
    }
}

/// As stream_tasks, looking at each result where it lies and letting it go at once.
void stream_and_drop(benchmark::State& state, unsigned rank, std::size_t count) {
    const mobula::TaskOptions options{.placement = mobula::Placement::on_rank(rank)};
    Refs refs(count);
    for (auto _ : state) {
        for (auto& ref : refs) ref = mobula::remote<small_value>(options);
        for (auto& ref : refs) {
            check(*mobula::view(ref) == ok, "a no-op returned something else");
            ref = {};
        }
    }
}

void one_task(benchmark::State& state, unsigned rank) {
    const mobula::TaskOptions options{.placement = mobula::Placement::on_rank(rank)};
    for (auto _ : state) {
        check(mobula::get(mobula::remote<small_value>(options)) == ok, "a no-op's result");
    }
}

void one_call(benchmark::State& state, unsigned rank) {
    const auto echo = mobula::spawn<Echo>({.placement = mobula::Placement::on_rank(rank)});
    mobula::get(echo.ready());
    for (auto _ : state) {
        check(mobula::get(echo.call<&Echo::value>()) == ok, "a method's result");
    }
}

void stream_calls(benchmark::State& state, unsigned rank, std::size_t count) {
    const auto echo = mobula::spawn<Echo>({.placement = mobula::Placement::on_rank(rank)});
    mobula::get(echo.ready());
    Refs refs(count);
    for (auto _ : state) {
        for (auto& ref : refs) ref = echo.call<&Echo::value>();
        check_all_ok(refs);
    }
}

/// A chain: each task takes the result of the one before.
std::uint32_t next(std::uint32_t number) { return number + 1; }

void chain(benchmark::State& state, unsigned rank, std::uint32_t length) {
    const mobula::TaskOptions options{.placement = mobula::Placement::on_rank(rank)};
    for (auto _ : state) {
        mobula::Ref<std::uint32_t> last = mobula::put(std::uint32_t{0});
        for (std::uint32_t i = 0; i < length; ++i) last = mobula::remote<next>(options, last);
        check(mobula::get(last) == length, "the end of a chain");
    }
}

}  // namespace

void add_rank_cases() {
    constexpr std::size_t batch = 1000;
    const std::size_t stream = sizes.stream;
    const auto add_pair = [stream](const std::string& prefix, unsigned rank) {
        const auto name = [&](const char* rest) { return prefix + rest; };
        add(name("_tasks_1k").c_str(), batch,
            [rank](benchmark::State& state) { stream_tasks(state, rank, batch); });
        add(name("_tasks_1k_dropped").c_str(), batch,
            [rank](benchmark::State& state) { stream_and_drop(state, rank, batch); });
        add(name("_tasks_100k").c_str(), stream,
            [rank, stream](benchmark::State& state) { stream_tasks(state, rank, stream); });
        add(name("_task_and_back").c_str(), 1,
            [rank](benchmark::State& state) { one_task(state, rank); });
        add(name("_call_and_back").c_str(), 1,
            [rank](benchmark::State& state) { one_call(state, rank); });
        add(name("_calls_100k").c_str(), stream,
            [rank, stream](benchmark::State& state) { stream_calls(state, rank, stream); });
        add(name("_chain_1k").c_str(), 1000,
            [rank](benchmark::State& state) { chain(state, rank, 1000); });
    };
    add_pair("same_rank", 0);
    if (mobula::ranks() > 1) add_pair("other_rank", mobula::ranks() - 1);
}

}  // namespace micro
