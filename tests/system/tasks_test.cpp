// SPDX-License-Identifier: Apache-2.0
// Goal: every way to submit a task and to take its results works, wherever the task runs. Method:
// small functions with known answers; each case is asked for on each rank in turn.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

int add(int a, int b) { return a + b; }
unsigned where() { return mobula::rank(); }
void nothing() {}
std::string join(const std::string& left, std::string right) { return left + right; }
double many(int a, double b, char c, const std::string& d, std::vector<int> e, bool f,
            std::array<int, 3> g, unsigned long h) {
    return a + b + c + static_cast<double>(d.size() + e.size()) + (f ? 1 : 0) + g[2] +
           static_cast<double>(h);
}
std::tuple<int, std::string, std::vector<double>> three(int n) {
    return {n, std::to_string(n), std::vector<double>(static_cast<std::size_t>(n), 0.5)};
}
std::size_t length(const std::vector<double>& values) { return values.size(); }
std::unique_ptr<int> box(int value) { return std::make_unique<int>(value); }
int unbox(std::unique_ptr<int> boxed) { return *boxed; }
int look_into(const std::unique_ptr<int>& boxed) { return *boxed; }
int take_by_rvalue(std::vector<int>&& values) { return static_cast<int>(values.size()); }
/// Results that refer to an argument.
std::vector<int>&& pass_on(std::vector<int>&& values) { return std::move(values); }
const std::string& longest(const std::string& one, std::string&& other) {
    return one.size() > other.size() ? one : other;
}
int quiet(int a) noexcept { return -a; }

/// A user type with a container inside.
struct Person {
    std::string name;
    std::map<std::string, int> scores;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(name, scores);
    }
};
Person promote(Person person) {
    person.scores["level"] += 1;
    return person;
}
/// Bytes only; nothing to write for it.
struct Point {
    double x, y;
};
double norm(const Point& point) { return std::hypot(point.x, point.y); }

/// As vectors of a processor want it.
struct alignas(64) Line {
    int numbers[16];
};
int misaligned(Line by_value, const Line& by_reference) {
    return static_cast<int>(reinterpret_cast<std::uintptr_t>(&by_value) % 64 +
                            reinterpret_cast<std::uintptr_t>(&by_reference) % 64) +
           by_value.numbers[3] - by_reference.numbers[3];
}

/// Fails until it has been run three times on this rank.
int third_time(int key) {
    static std::map<int, int> attempts;
    if (++attempts[key] < 3) throw std::runtime_error("not yet");
    return attempts[key];
}

void basics(unsigned rank) {
    check_equal(get(remote<add>(on(rank), 2, 3)), 5, "2 + 3");
    check_equal(get(remote<where>(on(rank))), rank, "the rank of a placed task");
    get(remote<nothing>(on(rank)));
    check_equal(get(remote<quiet>(on(rank), 4)), -4, "a noexcept function's result");
    check_equal(get(remote<join>(on(rank), "left ", std::string("right"))), "left right",
                "strings by reference and by value");
    check_equal(get(remote<many>(on(rank), 1, 0.5, 'A', "four", std::vector<int>(7), true,
                                 std::array{1, 2, 3}, 1000UL)),
                1 + 0.5 + 65 + 4 + 7 + 1 + 3 + 1000, "the sum of eight arguments");
    check_equal(get(remote<add>(on(rank), 'a', 2.9)), 99, "converted arguments");
    const Person person = get(remote<promote>(on(rank), Person{"Ada", {{"level", 4}, {"x", 1}}}));
    check(person.name == "Ada" && person.scores.at("level") == 5 && person.scores.at("x") == 1,
          "a user type came back changed in the wrong way");
    check_equal(get(remote<norm>(on(rank), Point{3, 4})), 5.0, "the norm of a plain struct");
}

void results(unsigned rank) {
    auto [number, text, values] = remote<three>(on(rank), 12);
    check_equal(get(text), "12", "the second result of a tuple");
    check_equal(get(number), 12, "the first result of a tuple");
    // One part of a tuple is an input on another rank.
    check_equal(get(remote<length>(on((rank + 1) % ranks()), values)), 12U, "the third result");
    const auto [a, b, c] = get(remote<three>(on(rank), 3));
    check(a == 3 && b == "3" && c.size() == 3, "get of a tuple of refs gives other values");
}

void move_only(unsigned rank) {
    check_equal(*get(remote<box>(on(rank), 8)), 8, "a move-only result");
    check_equal(get(remote<unbox>(on(rank), remote<box>(9))), 9, "a move-only input by value");
    check_equal(get(remote<unbox>(on(rank), std::make_unique<int>(10))), 10,
                "a move-only argument");
    check_equal(get(remote<look_into>(on(rank), remote<box>(on((rank + 1) % ranks()), 11))), 11,
                "a move-only input by reference");
    check_equal(get(remote<take_by_rvalue>(on(rank), std::vector<int>(5))), 5,
                "an argument by rvalue reference");
    check(get(remote<pass_on>(on(rank), std::vector<int>(1000, 3))) == std::vector<int>(1000, 3),
          "an argument that is given back by rvalue reference");
    const std::string text(1000, 'l');
    check_equal(get(remote<longest>(on(rank), "short", text)), text, "an argument given back");
    check_equal(get(remote<longest>(on(rank), put(text), "short")), text, "an input given back");
    // A value that others still hold is not moved away from them.
    const Ref<std::vector<int>> shared = put(std::vector<int>(6));
    check_equal(get(remote<take_by_rvalue>(on(rank), shared)), 6, "a shared input, taken once");
    check_equal(get(remote<take_by_rvalue>(on(rank), shared)), 6, "a shared input, taken twice");
    check_equal(get(shared).size(), 6U, "a shared input afterwards");
}

void moved_out_twice(unsigned rank) {
    const Ref<std::unique_ptr<int>> boxed = put(std::make_unique<int>(12));
    check_equal(get(remote<look_into>(on(rank), boxed)), 12, "a move-only object, looked into");
    check_equal(*get(boxed), 12, "a move-only object");
    check_contains(thrown<Error>([&] { get(boxed); }, "a move-only object that is got twice"),
                   "moved out already", "the refusal");
    const Ref<std::unique_ptr<int>> made = remote<box>(on(rank), 13);
    check_equal(get(remote<unbox>(on(rank), made)), 13, "a move-only result, given to a task");
    check_contains(thrown<Error>([&] { view(boxed); }, "a view of what was moved out"),
                   "moved out already", "the refusal");
    if (rank != mobula::rank()) return;  // another rank is sent a value for each task
    check_contains(
        thrown<TaskError>([&] { get(remote<unbox>(on(rank), made)); }, "the same for a second one"),
        "moved out already", "the refusal");
    check_contains(
        thrown<TaskError>([&] { get(remote<look_into>(on(rank), made)); }, "or to look into"),
        "moved out already", "the refusal");
}

void alignments(unsigned rank) {
    for (int i = 0; i < 20; ++i) {
        Line line{};
        line.numbers[3] = i;
        check_equal(get(remote<misaligned>(on(rank), line, line)), 0, "how far arguments are off");
        check_equal(get(remote<misaligned>(on(rank), put(line), line)), 0, "or an object");
    }
}

void times_out_of_range(unsigned rank) {
    constexpr auto for_ever = std::chrono::nanoseconds::max();
    check_equal(get(remote<add>(on(rank), 1, 2), for_ever), 3, "a result within all time");
    const std::vector<Ref<int>> refs{remote<add>(on(rank), 1, 2)};
    check_equal(mobula::wait(refs, 1, for_ever).done.size(), 1U, "how many came within all time");
    check_equal(when_any(refs, for_ever), 0U, "the first of one");
    thrown<BadInput>([] { when_any(std::vector<Ref<int>>{}); }, "the first of none");
}

void lambdas(unsigned rank) {
    check_equal(get(remote([](int n) { return n * n; }, 7)), 49, "a lambda's square");
    check_equal(get(remote(
                    on(rank), [](const std::string& s) { return s + "!"; }, "yes")),
                "yes!", "a lambda with options");
    check_equal(get(remote<[](int n) { return n + 1; }>(on(rank), 1)), 2,
                "a lambda as a template argument");
    check_equal(get(remote([](Ref<int> r) { return get(r) + 1; }, put(1))), 2,
                "a lambda that gets a Ref");
}

void retries(unsigned rank) {
    static int key = 0;
    TaskOptions options = on(rank);
    options.retry_exceptions = true;
    options.max_retries = 2;
    check_equal(get(remote<third_time>(options, ++key)), 3, "attempts of a task run again");
    options.max_retries = 1;
    thrown<TaskError>([&] { get(remote<third_time>(options, ++key)); },
                      "a task with too few retries");
    options.retry_exceptions = false;
    thrown<TaskError>([&] { get(remote<third_time>(options, ++key)); },
                      "a task whose exceptions are not retried");
    // Arguments are there again for the second run, even those taken by value.
    options = on(rank);
    options.retry_exceptions = true;
    check_equal(get(remote(
                    options,
                    [](std::vector<int> values, int number) {
                        third_time(number);
                        return static_cast<int>(values.size());
                    },
                    std::vector<int>(30), ++key)),
                30, "the argument of the third attempt");
    // More attempts than a byte counts.
    static std::atomic<int> runs;
    options.max_retries = 300;
    thrown<TaskError>(
        [&] {
            get(remote(options, [] {
                ++runs;
                throw std::runtime_error("no");
            }));
        },
        "a task that always fails");
    check_equal(get(remote(on(rank), [] { return runs.exchange(0); })), 301, "its attempts");
    options.max_retries = -2;
    thrown<BadInput>([&] { remote<third_time>(options, ++key); }, "less than no retries");
    // What would be empty the second time is refused the first time.
    options.max_retries = 3;
    thrown<BadInput>([&] { remote<unbox>(options, std::make_unique<int>(1)); },
                     "a retried task with a move-only argument by value");
    check_equal(get(remote<look_into>(options, std::make_unique<int>(14))), 14,
                "the same by reference");
}

std::vector<int> order;
void note(int priority) { order.push_back(priority); }
/// Keeps the rank's only worker while the tasks queue up behind it, those placed here and others.
std::vector<Ref<void>> queue_up(std::vector<int> priorities) {
    order.clear();
    std::vector<Ref<void>> tasks;
    for (const int priority : priorities) {
        TaskOptions placed = on(rank());
        placed.priority = priority;
        tasks.push_back(remote<note>(placed, priority));
        if (ranks() == 1) tasks.push_back(remote<note>({.priority = priority}, priority));
    }
    return tasks;
}
std::vector<int> order_here() { return order; }

void priorities(unsigned rank) {
    if (get(remote<workers>(on(rank))) != 1) return;  // several workers have no common order
    get(get(remote<queue_up>(on(rank), std::vector<int>{0, -3, 10, 0, 3, 10, -3, 0, 3})));
    const std::vector<int> order = get(remote<order_here>(on(rank)));
    check_equal(order.size(), ranks() == 1 ? 18U : 9U, "how many tasks ran");
    check(std::is_sorted(order.begin(), order.end(), std::greater<>()),
          "tasks of a lower priority ran before others");
}

void anywhere() {
    std::vector<Ref<int>> refs;
    for (int i = 0; i < 20000; ++i) refs.push_back(remote<add>(i, 1));
    const std::vector<int> values = get(refs);
    for (int i = 0; i < 20000; ++i) {
        check_equal(values[static_cast<std::size_t>(i)], i + 1, "a result in order");
    }
    std::vector<Ref<void>> voids;
    for (int i = 0; i < 1000; ++i) voids.push_back(remote<nothing>());
    get(voids);
}

int driver(Job& job) {
    check_equal(job.ranks, ranks(), "the number of ranks told to the driver");
    check_equal(rank(), 0U, "the driver's rank");
    check(workers() >= 1 && worker_id() < workers(), "the driver runs on no worker of its rank");
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        basics(rank);
        results(rank);
        move_only(rank);
        moved_out_twice(rank);
        alignments(rank);
        times_out_of_range(rank);
        lambdas(rank);
        retries(rank);
        priorities(rank);
    }
    anywhere();
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
