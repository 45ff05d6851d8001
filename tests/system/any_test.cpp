// SPDX-License-Identifier: Apache-2.0
// Goal: when_any gives each of many objects that become ready, however the caller changes what it
// waits for between the calls, and costs the same for each however many there are, as do Arrivals
// that grow and a pool of actors. Method: loops that take out, replace and add refs in every way
// and count what they get; CPU time per result with few and with many under way.
#include <ctime>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <utility>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;
using namespace std::chrono_literals;

int slow_identity(int n) {
    for (int i = 0; i < n % 3; ++i) mobula::yield();
    return n;
}
Ref<int> somewhere(int n) {
    return remote<slow_identity>(on(static_cast<unsigned>(n) % ranks()), n);
}

struct Holder {};
/// A task that begins only when the actor ends, and for which nothing runs until then.
struct Gate {
    const Placement here = Placement::on_rank(0);
    const Actor<Holder> holder = spawn<Holder>({.resources = {{"key", 1}}, .placement = here});
    const Ref<int> ref = remote<slow_identity>({.resources = {{"key", 1}}, .placement = here},
                                               (get(holder.ready()), 1));
};
Ref<int> never(const Gate& gate) { return remote<slow_identity>(gate.ref); }

/// How a loop goes on after it was given one.
enum class Way { erase, last_in_its_place, another_in_its_place, another_behind, mixed, anew };
constexpr Way ways[] = {
    Way::erase, Way::last_in_its_place, Way::another_in_its_place, Way::another_behind, Way::mixed,
    Way::anew};

/// Gets each number below `total` once, so many at a time, with two that never come among them.
void drain(const Gate& gate, Way way, int total, int at_once) {
    std::mt19937 random(static_cast<unsigned>(total + at_once));
    int next = 0;
    std::vector<Ref<int>> refs{never(gate)};
    while (next < at_once) refs.push_back(somewhere(next++));
    refs.push_back(never(gate));
    std::vector<int> times(static_cast<std::size_t>(total), 0);
    for (int left = total; left > 0; --left) {
        const std::size_t which = when_any(refs);
        check(refs[which].done(), "when_any gave one that is not done");
        check(when_any(refs) < refs.size(), "when_any gave nothing the second time");
        ++times[static_cast<std::size_t>(get(refs[which]))];
        const auto at = refs.begin() + static_cast<std::ptrdiff_t>(which);
        Way now = way;
        if (way == Way::mixed) now = ways[random() % 4];
        if (now == Way::another_in_its_place && next < total) {
            *at = somewhere(next++);
            continue;
        }
        if (now == Way::last_in_its_place || now == Way::another_in_its_place) {
            std::swap(*at, refs.back());
            refs.pop_back();
        } else {
            refs.erase(at);
        }
        if (now == Way::anew) refs = std::vector<Ref<int>>(refs.rbegin(), refs.rend());
        while (next < total && refs.size() < static_cast<std::size_t>(at_once)) {
            refs.push_back(somewhere(next++));
        }
    }
    check(std::count(times.begin(), times.end(), 1) == total, "when_any lost or repeated one");
    check_equal(refs.size(), 2U, "what is left");
    for (const Ref<int>& ref : refs) cancel(ref);
}

void stays(const Gate& gate) {
    std::vector<Ref<int>> refs;
    for (int i = 0; i < 40; ++i) refs.push_back(never(gate));
    // Nothing is done, and the time is over each time.
    for (int i = 0; i < 3; ++i) {
        thrown<Timeout>([&] { (void)when_any(refs, 1ms); }, "when_any of none that is done");
    }
    // The same one as often as it is asked, also twice in a row of refs.
    refs[7] = put(7);
    for (int i = 0; i < 3; ++i) check_equal(when_any(refs), 7U, "the one that is done");
    refs[30] = refs[7];
    for (int i = 0; i < 3; ++i) check(refs[when_any(refs)].done(), "one of two that are the same");
    refs.erase(refs.begin() + 7);
    check_equal(when_any(refs), 29U, "the other one of two that are the same");
    // Another set, and back.
    std::vector<Ref<int>> others(refs.begin(), refs.begin() + 20);
    others.push_back(put(1));
    check_equal(when_any(others), 20U, "the one that is done of others");
    check_equal(when_any(refs), 29U, "the one that is done of the first ones");
    // Nothing of what was taken out is given.
    refs.erase(refs.begin() + 29);
    thrown<Timeout>([&] { (void)when_any(refs, 1ms); }, "when_any without the one that is done");
    refs.emplace_back();
    thrown<BadInput>([&] { (void)when_any(refs, 1ms); }, "when_any with a Ref that names nothing");
    refs.pop_back();
    for (const Ref<int>& ref : refs) cancel(ref);
    check(get(remote([] { return 3; })) == 3, "a task after all that");
    (void)when_any(refs, 60s);  // a cancelled one is done
}

/// One that arrives while it is elsewhere, and is back at its place in the next call.
void comes_back(const Gate& gate) {
    std::vector<Ref<int>> refs;
    for (int i = 0; i < 40; ++i) refs.push_back(never(gate));
    Promise<int> away, other;
    refs[5] = away.ref();
    refs[9] = other.ref();
    thrown<Timeout>([&] { (void)when_any(refs, 1ms); }, "when_any of none that is done");
    const Ref<int> kept = std::exchange(refs[5], never(gate));
    away.set_value(1);
    other.set_value(2);
    check_equal(when_any(refs, 60s), 9U, "the one that is there");
    const Ref<int> another = std::exchange(refs[5], kept);
    refs.erase(refs.begin() + 9);
    check_equal(when_any(refs, 60s), 5U, "the one that is back");
    cancel(another);
    for (const Ref<int>& ref : refs) cancel(ref);
}

void growing_arrivals() {
    Arrivals arrivals;
    check(!arrivals.next().has_value(), "Arrivals of nothing gave something");
    std::vector<int> of(4, -1);
    int given = 0, next = 0;
    const auto add = [&] {
        const std::size_t number = arrivals.add(somewhere(next));
        check(number < of.size() && of[number] == -1, "a number that another one has");
        of[number] = next++;
    };
    for (int i = 0; i < 4; ++i) add();
    while (const auto number = arrivals.next()) {
        ++given;
        check(of[*number] >= 0, "a number that none has");
        of[*number] = -1;
        if (next < 300) add();
    }
    check_equal(given, 300, "how many Arrivals gave");
    thrown<BadInput>([&] { arrivals.add(Ref<int>()); }, "Arrivals::add of nothing");
    const std::size_t one_more = arrivals.add(put(1));
    check(arrivals.next() == one_more, "one more after the end");
}

/// Of the calling thread.
double cpu_seconds() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// The least of some tries.
template <class Work>
double cost(Work&& work) {
    double least = 1e9;
    for (int i = 0; i < 10; ++i) {
        const double begin = cpu_seconds();
        work();
        least = std::min(least, cpu_seconds() - begin);
    }
    return least;
}

void costs(const Gate& gate) {
    std::vector<Ref<int>> refs;
    for (int i = 0; i < 50000; ++i) refs.push_back(never(gate));
    const auto none = [&] {
        thrown<Timeout>([&] { (void)when_any(refs, 1us); }, "when_any of none that is done");
    };
    none();
    // It is not cheaper to do anything at all with each of them.
    const double again = cost(none), copied = cost([&] { const auto copy = refs; });
    check(again < copied, "when_any of 50,000 as before takes " + std::to_string(again * 1e6) +
                              " us, and to copy them " + std::to_string(copied * 1e6) + " us");
    kill(gate.holder);
    get(refs);
}

int driver(Job&) {
    const Gate gate;
    for (const Way way : ways) {
        for (const int at_once : {3, 17, 100}) drain(gate, way, 120, at_once);
    }
    stays(gate);
    comes_back(gate);
    growing_arrivals();
    costs(gate);
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
