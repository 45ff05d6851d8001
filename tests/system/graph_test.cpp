// SPDX-License-Identifier: Apache-2.0
// Goal: dependencies between ranks are kept, and every way to wait answers at the right time.
// Method: chains, diamonds and trees whose tasks are spread over the ranks, with known answers;
// waits for tasks that go on until they are cancelled, so that "not yet" is certain.
#include <algorithm>
#include <atomic>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;
using std::chrono::milliseconds;
using Numbers = std::vector<long>;

long one_more(long n) { return n + 1; }
long add(long a, long b) { return a + b; }
Numbers append(Numbers numbers, long n) {
    numbers.push_back(n);
    return numbers;
}
long boom(long) { throw std::runtime_error("boom"); }
int forever() { return run_until_cancelled(); }
int answer(int n) { return n; }

void chains(unsigned start) {
    Ref<long> end = remote<one_more>(on(start), 0);
    for (unsigned i = 1; i < 1000; ++i) end = remote<one_more>(on((start + i) % ranks()), end);
    check_equal(get(end), 1000L, "the end of a chain over the ranks");
    Ref<long> anywhere = put(0L);
    for (int i = 0; i < 5000; ++i) anywhere = remote<one_more>(anywhere);
    check_equal(get(anywhere), 5000L, "the end of a chain placed by the engine");
    // Values too large for a message.
    Ref<Numbers> list = put(Numbers(2000, 1));
    for (unsigned i = 0; i < 40; ++i) {
        list = remote<append>(on((start + i) % ranks()), list, static_cast<long>(i));
    }
    const Numbers numbers = get(list);
    check_equal(numbers.size(), 2040U, "the length of a list that grew on the ranks");
    check_equal(numbers.back(), 39L, "its last number");
    check_equal(std::accumulate(numbers.begin(), numbers.end(), 0L), 2000L + 39 * 40 / 2,
                "its sum");
}

void shapes() {
    // A tree of sums, and many diamonds on one value.
    std::vector<Ref<long>> level;
    for (long i = 0; i < 1024; ++i) level.push_back(remote<one_more>(i));
    while (level.size() > 1) {
        std::vector<Ref<long>> above;
        for (std::size_t i = 0; i < level.size(); i += 2) {
            above.push_back(remote<add>(level[i], level[i + 1]));
        }
        level = std::move(above);
    }
    check_equal(get(level[0]), 1024L * 1025 / 2, "the sum of a tree");
    Ref<long> value = put(1L);
    for (unsigned i = 0; i < 20; ++i) {
        value = remote<add>(on(i % ranks()), value, value);
    }
    check_equal(get(value), 1L << 20U, "a value doubled 20 times");
    // A task whose inputs come from all ranks.
    Ref<long> sum = put(0L);
    for (unsigned i = 0; i < ranks(); ++i) sum = remote<add>(remote<one_more>(on(i), 9L), sum);
    check_equal(get(sum), 10L * ranks(), "the sum of inputs from all ranks");
}

void waits(unsigned rank) {
    std::vector<Ref<int>> refs;
    refs.push_back(remote<forever>(on(rank)));
    for (int i = 1; i < 10; ++i) refs.push_back(remote<answer>(on(rank), i));
    Waited waited = wait(refs, 9);
    check(waited.done.size() == 9 && waited.pending == std::vector<std::size_t>{0},
          "wait found other refs done than those that can be");
    waited = wait(refs, 100, milliseconds(20));
    check_equal(waited.pending.size(), 1U, "the number pending after a time limit");
    check_equal(wait(refs, 0).done.size(), 9U, "the number done without waiting");
    check(!refs[0].done() && refs[3].done(), "done() answers wrongly");
    check(when_any(refs) != 0, "when_any named one that cannot be done");
    const std::vector<Ref<int>> never{refs[0]};
    thrown<Timeout>([&] { when_any(never, milliseconds(10)); }, "when_any of what never ends");
    thrown<Timeout>([&] { get(refs[0], milliseconds(10)); }, "get of what never ends");
    thrown<Timeout>([&] { get(refs, milliseconds(10)); }, "get of many of which one never ends");
    thrown<Timeout>([&] { get(refs[0], milliseconds(0)); }, "get without any time");
    check_equal(get(refs[5], milliseconds(0)), 5, "get of what is there, without any time");
    const auto begin = std::chrono::steady_clock::now();
    thrown<Timeout>([&] { view(refs[0], milliseconds(50)); }, "view of what never ends");
    check(std::chrono::steady_clock::now() - begin >= milliseconds(50), "a limit came too early");
    // On a rank whose tasks wait with limits as well.
    check(get(remote(
              on(rank),
              [](Ref<int> r) {
                  try {
                      get(r, milliseconds(5));
                  } catch (const Timeout&) {
                      return true;
                  }
                  return false;
              },
              refs[0])),
          "a task's get had no time limit");
    cancel(refs[0]);
    thrown<Cancelled>([&] { get(refs[0]); }, "get of a cancelled task");
    waited = wait(refs, 10);
    check_equal(waited.done.size(), 10U, "the number done, a failed one among them");
}

std::atomic<bool> closed{false};
int until_closed() {
    while (!closed) mobula::yield();
    return 1;
}
void close_all(bool close) {
    for (unsigned r = 0; r < ranks(); ++r) {
        get(remote(
            on(r), [](bool c) { closed = c; }, close));
    }
}
/// What is left in one that is assigned to is dropped with the objects that only it held.
void arrivals_made_anew(unsigned rank) {
    close_all(false);
    Arrivals order = as_completed(std::vector{put(1), put(2)});
    check(order.next().has_value(), "as_completed did not give what was there");
    for (int round = 0; round < 3; ++round) {
        std::vector<Ref<int>> mine;
        for (int i = 0; i < 3; ++i) {
            mine.push_back(get(remote(on(rank), [] { return remote<until_closed>(); })));
        }
        for (int i = 0; i < 3; ++i) mine.push_back(put(i));
        order = as_completed(mine);
        check(order.next() >= std::size_t{3}, "as_completed, assigned, gave one that is not done");
    }
    Arrivals& same = order;
    order = std::move(same);
    close_all(true);
    std::size_t left = 0;
    while (order.next()) ++left;
    check_equal(left, 5U, "how many the last one assigned gives after the first");
}

void arrivals(unsigned rank) {
    std::vector<Ref<int>> refs;
    refs.push_back(remote<forever>(on(rank)));
    for (int i = 1; i <= 200; ++i) {
        refs.push_back(remote<answer>(on((rank + static_cast<unsigned>(i)) % ranks()), i));
    }
    std::set<std::size_t> seen;
    Arrivals order(refs);
    while (seen.size() < 200) {
        const auto position = order.next();
        check(position.has_value() && *position != 0 && seen.insert(*position).second,
              "as_completed gave a position twice, or one that is not done");
        check_equal(get(refs[*position]), static_cast<int>(*position), "a value that arrived");
    }
    check(!order.next(milliseconds(5)).has_value(), "as_completed gave one that is not done");
    cancel(refs[0]);
    check(order.next() == std::size_t{0}, "as_completed did not give the cancelled one");
    check(!order.next().has_value(), "as_completed goes on after the last");
    // Left half-way, and by range.
    {
        const std::vector<Ref<int>> never{remote<forever>(on(rank)), remote<answer>(1)};
        for (const std::size_t i : as_completed(never)) {
            check_equal(i, 1U, "the first to arrive");
            break;
        }
        cancel(never[0]);
    }
    std::vector<Ref<long>> failing{remote<boom>(on(rank), 1L), remote<one_more>(1L)};
    std::size_t count = 0;
    for ([[maybe_unused]] const std::size_t i : as_completed(failing)) ++count;
    check_equal(count, 2U, "the number that arrived, a failed one among them");
    const std::vector<Ref<long>> none;
    check(wait(none).done.empty() && get(none).empty(), "nothing to wait for, and yet something");
}

int driver(Job& job) {
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        chains(rank);
        waits(rank);
        arrivals(rank);
        arrivals_made_anew(rank);
    }
    shapes();
    // The same inside tasks, on every rank.
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        get(remote(
            on(rank),
            [](unsigned r) {
                shapes();
                waits(r);
                arrivals(r);
            },
            (rank + 1) % job.ranks));
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
