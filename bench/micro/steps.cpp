// SPDX-License-Identifier: Apache-2.0

/// One path of the engine, a given number of times and nothing else, for a profiler: the difference
/// between two counts is what an operation costs (bench/instructions does that).
///
///     mpirun -n 1|2 bench_steps CASE COUNT
///
/// Cases: task, task_sync, call, call_sync, put; with more ranks the work is on the last one.

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>

#include "micro/cases.hpp"

namespace {

using Refs = std::vector<mobula::Ref<std::uint16_t>>;

struct Echo {
    std::uint16_t value() { return micro::ok; }
};

/// In batches of a thousand, as much as a stream has in flight.
template <class Submit>
void stream(std::size_t count, Submit submit) {
    Refs refs;
    for (std::size_t done = 0; done < count; done += refs.size()) {
        refs.clear();
        for (std::size_t i = done; i < std::min(count, done + 1000); ++i) refs.push_back(submit());
        micro::check_all_ok(refs);
    }
}

void one_by_one(std::size_t count, const std::function<std::uint16_t()>& step) {
    for (std::size_t i = 0; i < count; ++i) micro::check(step() == micro::ok, "a no-op's result");
}

int driver(mobula::Job& job) {
    const mobula::TaskOptions there{.placement = micro::on_last_rank()};
    const bool apart = mobula::ranks() > 1;
    const auto task = [&] {
        return apart ? mobula::remote<micro::small_value>(there)
                     : mobula::remote<micro::small_value>();
    };
    const auto echo = mobula::spawn<Echo>({.placement = micro::on_last_rank()});
    mobula::get(echo.ready());
    const auto call = [&] { return echo.call<&Echo::value>(); };
    const std::map<std::string, std::function<void(std::size_t)>> cases{
        {"task", [&](std::size_t n) { stream(n, task); }},
        {"task_sync", [&](std::size_t n) { one_by_one(n, [&] { return mobula::get(task()); }); }},
        {"call", [&](std::size_t n) { stream(n, call); }},
        {"call_sync", [&](std::size_t n) { one_by_one(n, [&] { return mobula::get(call()); }); }},
        {"put", [&](std::size_t n) { stream(n, [] { return mobula::put(micro::ok); }); }},
    };
    const auto found = job.arguments.size() == 3 ? cases.find(job.arguments[1]) : cases.end();
    if (found == cases.end()) {
        std::string names;
        for (const auto& [name, body] : cases) names += " " + name;
        throw mobula::BadInput("bench_steps: give a case and a count; cases:" + names);
    }
    found->second(std::strtoull(job.arguments[2].c_str(), nullptr, 10));
    std::printf("{\"program\": \"steps\", \"case\": \"%s\", \"ranks\": %u}\n", found->first.c_str(),
                mobula::ranks());
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
