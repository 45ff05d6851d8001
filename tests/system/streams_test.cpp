// SPDX-License-Identifier: Apache-2.0
// Goal: streams give all items in order while their task runs, hold it back when nobody takes
// them, pass on its error after the items before it, and end it when they are dropped. Method:
// generators that count on their rank how many items they have made.
#include <atomic>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;
using std::chrono::milliseconds;

std::atomic<int> made{0}, ended{0};

struct AtEnd {
    ~AtEnd() { ++ended; }
};
Generator<int> count(int n) {
    AtEnd at_end;
    for (int i = 0; i < n; ++i) {
        ++made;
        co_yield i;
    }
}
Generator<int> from(int first, int n) {
    for (int i = 0; i < n; ++i) co_yield first + i;
}
Generator<Array<int>> large(int n, std::size_t size) {
    for (int i = 0; i < n; ++i) {
        Array<int> array({size});
        for (std::size_t k = 0; k < size; ++k) array.mutable_data()[k] = i;
        co_yield array;
    }
}
Generator<std::vector<std::string>> texts(std::vector<std::string> words) {
    std::vector<std::string> said;
    for (const std::string& word : words) {
        said.push_back(word);
        co_yield said;
    }
}
Generator<int> break_off(int after) {
    for (int i = 0; i < after; ++i) co_yield i;
    throw std::runtime_error("enough");
}
/// Waits for objects between its items.
Generator<int> doubled(Ref<int> start, int n) {
    int value = get(start);
    for (int i = 0; i < n; ++i) {
        value = get(remote([](int v) { return v + v; }, value));
        co_yield value;
    }
}
Generator<Ref<int>> refs(int n) {
    for (int i = 0; i < n; ++i) co_yield put(i);
}
int made_here() { return made.load(); }
int ended_here() { return ended.load(); }
int twice(int n) { return 2 * n; }
long sum_of(const Array<int>& array) {
    long sum = 0;
    for (const int value : array) sum += value;
    return sum;
}

void in_order(unsigned rank) {
    int expected = 0;
    for (const Ref<int>& item : remote<count>(on(rank), 3000)) {
        check_equal(get(item), expected++, "an item");
    }
    check_equal(expected, 3000, "the number of items");
    Stream<int> none = remote<count>(on(rank), 0);
    check(!none.next().has_value() && !none.next().has_value(), "an empty stream has items");
    // Items are objects like any others.
    std::vector<Ref<int>> results;
    for (const Ref<int>& item : remote<count>(on(rank), 200)) {
        results.push_back(remote<twice>(on((rank + 1) % ranks()), item));
    }
    long sum = 0;
    for (const int value : get(results)) sum += value;
    check_equal(sum, 199L * 200, "the sum of what tasks made of items");
    expected = 0;
    for (const auto& item : remote<large>(on(rank), 30, 100'000UL)) {
        check_equal(get(remote<sum_of>(on((rank + 1) % ranks()), item)), expected++ * 100'000L,
                    "the sum of a large item");
    }
    check_equal(expected, 30, "the number of large items");
    std::size_t words = 0;
    for (const auto& item :
         remote<texts>(on(rank), std::vector<std::string>{"a", std::string(9000, 'b'), "c"})) {
        check_equal(get(item).size(), ++words, "the size of an item that grows");
    }
    int value = 3;
    for (const auto& item : remote<doubled>(on(rank), put(3), 10)) {
        check_equal(get(item), value += value, "an item that took tasks to make");
    }
    expected = 0;
    for (const auto& item : remote<refs>(on(rank), 100)) {
        check_equal(get(get(item)), expected++, "a Ref as an item");
    }
}

void back_pressure(unsigned rank) {
    for (const std::size_t window : {1UL, 4UL, 16UL}) {
        TaskOptions options = on(rank);
        options.stream_window = window;
        const int before = get(remote<made_here>(on(rank)));
        const int ended_before = get(remote<ended_here>(on(rank)));
        std::optional<Stream<int>> reader = remote<count>(options, 1000);
        Stream<int>& stream = *reader;
        const auto made_ahead = [&] { return get(remote<made_here>(on(rank))) - before; };
        await([&] { return made_ahead() >= static_cast<int>(window); }, "a full window");
        // Nothing is taken: the number must stand still, however long the task had time.
        pass_time(milliseconds(20));
        check(made_ahead() <= static_cast<int>(window) + 1, "a stream ran ahead of its window");
        for (int i = 0; i < 100; ++i) {
            check_equal(get(*stream.next()), i, "an item after a rest");
            check(made_ahead() <= i + static_cast<int>(window) + 2,
                  "a stream ran ahead while it was read");
        }
        reader.reset();
        // What it still makes must not count as the next one's.
        await([&] { return get(remote<ended_here>(on(rank))) > ended_before; },
              "the end of a generator whose reader went");
    }
}

void errors(unsigned rank) {
    for (const int after : {0, 1, 50}) {
        Stream<int> stream = remote<break_off>(on(rank), after);
        for (int i = 0; i < after; ++i) check_equal(get(*stream.next()), i, "an item");
        const std::string text = thrown<TaskError>([&] { static_cast<void>(stream.next()); },
                                                   "the next of a stream whose task threw");
        check_contains(text, "enough", "the error of a stream");
    }
    thrown<Infeasible>([] { const Stream<int> never = remote<count>({.gpus = 1000}, 3); },
                       "a stream that can be made nowhere");
    // Nothing comes in time, and then it does.
    const Ref<int> start = remote<run_until_cancelled>(on(rank));
    Stream<int> late = remote<doubled>(on(rank), start, 3);
    thrown<Timeout>([&] { static_cast<void>(late.next(milliseconds(5))); }, "next in 5 ms");
    cancel(start);
    thrown<Error>([&] { static_cast<void>(late.next()); }, "next of what was cancelled");
}

void dropped(unsigned rank) {
    const int before = get(remote<ended_here>(on(rank)));
    Ref<int> kept;
    {
        Stream<int> stream = remote<count>(on(rank), 1'000'000);
        for (int i = 0; i < 5; ++i) kept = *stream.next();
    }
    await([&] { return get(remote<ended_here>(on(rank))) == before + 1; },
          "the end of a generator whose stream was dropped");
    check_equal(get(kept), 4, "an item that outlived its stream");
    { const Stream<int> unread = remote<count>(on(rank), 1'000'000); }
    pass_time(milliseconds(2));
    // Many at once, read in turns.
    std::vector<Stream<int>> streams;
    for (unsigned i = 0; i < 20; ++i) streams.push_back(remote<count>(on(i % ranks()), 50));
    for (int i = 0; i < 50; ++i) {
        for (auto& stream : streams) check_equal(get(*stream.next()), i, "an item of many streams");
    }
    for (auto& stream : streams) check(!stream.next().has_value(), "a stream does not end");
}

/// The stream that is assigned to is dropped, and its items are not those of the next one.
void assigned(unsigned rank) {
    const int before = get(remote<ended_here>(on(rank)));
    Stream<int> stream = remote<count>(on(rank), 1'000'000);
    check_equal(get(*stream.next()), 0, "the first item");
    stream = remote<count>(on(rank), 1);
    await([&] { return get(remote<ended_here>(on(rank))) == before + 2; },
          "the end of a generator whose stream was assigned to");
    for (int i = 0; i < 500; ++i) {
        stream = remote<from>(on(rank), 10 * i, 3);
        check_equal(get(*stream.next()), 10 * i, "the first item of a stream that was assigned");
        mobula::yield();
    }
    Stream<int>& same = stream;
    stream = std::move(same);
    check_equal(get(*stream.next()), 4991, "an item of a stream that was assigned to itself");
}

/// The last item and the end come together, while the reader wakes up.
void short_ones(unsigned rank) {
    for (int i = 0; i < 3000; ++i) {
        int expected = 0;
        for (const Ref<int>& item : remote<from>(on(rank), 0, 1 + i % 2)) {
            check_equal(get(item), expected++, "an item of a short stream");
        }
        check_equal(expected, 1 + i % 2, "the number of items of a short stream");
    }
}

/// Reads a stream from a task, so that neither end is the driver.
long read_from(unsigned producer) {
    long sum = 0;
    for (const Ref<int>& item : remote<count>(on(producer), 500)) sum += get(item);
    return sum;
}

int driver(Job& job) {
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        in_order(rank);
        back_pressure(rank);
        errors(rank);
        dropped(rank);
        assigned(rank);
        short_ones(rank);
    }
    std::vector<Ref<long>> sums;
    for (unsigned i = 0; i < 4 * job.ranks; ++i) {
        sums.push_back(remote<read_from>(on(i % job.ranks), (i / 2) % job.ranks));
    }
    for (const long sum : get(sums)) check_equal(sum, 499L * 500 / 2, "a sum read by a task");
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
