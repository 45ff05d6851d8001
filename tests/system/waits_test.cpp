// SPDX-License-Identifier: Apache-2.0
// Goal: a driver whose wait has a time limit is awake at that time, though a task of its rank goes
// on, and where it has a worker for itself also without a limit, though all workers are busy.
// Method: tasks that end only when the driver, awake, lets them.
#include <atomic>
#include <chrono>
#include <optional>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;
using namespace std::chrono_literals;

constexpr auto limit = 20ms;
std::atomic<bool> released{false};
std::atomic<unsigned> holding{0};

bool was_released() {
    const auto end = std::chrono::steady_clock::now() + 1min;
    while (!released.load()) {
        if (std::chrono::steady_clock::now() > end) return false;
    }
    return true;
}
/// Ends when the driver lets it: whether it has.
bool hold() {
    ++holding;
    return was_released();
}
Generator<bool> hold_stream() { co_yield was_released(); }

struct Answer {
    int value() { return 42; }
};

/// What a driver does that must be awake before the task ends.
template <class Try>
void in_time(const std::string& what, Try&& timed_out) {
    released = false;
    const Ref<bool> task = remote<hold>(on(0));
    check(timed_out(task), what + " gave what was not there");
    released = true;
    check(get(task), what + " with a time limit held until the task was over");
}

void limits() {
    const auto throws = [](auto&& wait) {
        try {
            wait();
        } catch (const Timeout&) {
            return true;
        }
        return false;
    };
    in_time("get", [&](const Ref<bool>& task) { return throws([&] { (void)get(task, limit); }); });
    in_time("wait", [&](const Ref<bool>& task) {
        return wait(std::vector{task}, 1, limit).pending.size() == 1;
    });
    in_time("when_any", [&](const Ref<bool>& task) {
        return throws([&] { (void)when_any(std::vector{task}, limit); });
    });
    in_time("as_completed",
            [&](const Ref<bool>& task) { return !as_completed(std::vector{task}).next(limit); });
    check(get(remote([] { return true; }), std::chrono::hours::max()), "a wait without an end");
    released = false;
    Stream<bool> stream = remote<hold_stream>(on(0));
    check(throws([&] { (void)stream.next(limit); }), "next gave what was not there");
    released = true;
    check(get(*stream.next()), "next with a time limit held until the item was made");
}

/// All workers of the driver's rank are busy, and an answer comes from elsewhere.
void alone(unsigned ranks) {
    released = false;
    holding = 0;
    std::vector<Ref<bool>> tasks;
    for (unsigned i = 0; i < workers(); ++i) tasks.push_back(remote<hold>(on(0)));
    const auto end = std::chrono::steady_clock::now() + 1min;
    while (holding.load() < workers()) {
        check(std::chrono::steady_clock::now() < end, "a task of the driver's rank does not begin");
    }
    if (ranks > 1) {
        const auto answer = spawn<Answer>({.placement = Placement::on_rank(ranks - 1)});
        check_equal(get(answer.call<&Answer::value>()), 42, "an answer beside busy workers");
    }
    check(wait(tasks, 1, limit).done.empty(), "a task ended that nobody let");
    released = true;
    for (const bool ended : get(tasks)) check(ended, "the driver slept until a task was over");
}

int driver(Job& job) {
    check_equal(get(remote<workers>(on(0))), workers(), "workers, seen by a task");
    for (int round = 0; round < 3; ++round) limits();
    const bool has_own = worker_id() == workers();
    check_equal(has_own, job.arguments.size() > 1, "a worker of the driver's own");
    if (has_own) alone(job.ranks);
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
