// SPDX-License-Identifier: Apache-2.0
// Goal: streams give all items in order while their task runs, hold it back when nobody takes
// them, pass on its error after the items before it, and end it when they are dropped, also where
// it is a method of an actor. Method: generators that count on their rank how many items they have
// made.
#include <atomic>
#include <optional>
#include <stdexcept>
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

/// A generator by itself: what it gives once it has ended.
void after_the_end() {
    Generator<int> one = from(7, 1);
    check(one.next() == 7 && !one.next() && !one.next(), "a generator goes on after its end");
    Generator<int> broken = break_off(0);
    thrown<std::runtime_error>([&] { static_cast<void>(broken.next()); }, "one that throws");
    check(!broken.next(), "a generator goes on after it threw");
    const Generator<int> moved = std::move(broken);
    check(!broken.next(), "a generator that was moved");  // NOLINT(bugprone-use-after-move)
}

void moved_from() {
    Stream<int> stream = remote<count>(on(0), 1);
    const Stream<int> other = std::move(stream);
    // NOLINTNEXTLINE(bugprone-use-after-move)
    thrown<BadInput>([&] { static_cast<void>(stream.next()); }, "a stream that was moved from");
    Arrivals arrivals;
    const Arrivals others = std::move(arrivals);
    // NOLINTNEXTLINE(bugprone-use-after-move)
    thrown<BadInput>([&] { static_cast<void>(arrivals.next()); }, "Arrivals that were moved from");
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

/// Its streams go on where the one before stopped.
class Source {
public:
    Generator<int> count(int n) {
        AtEnd at_end;
        for (int i = 0; i < n; ++i) {
            ++made;
            co_yield next_++;
        }
    }
    Generator<Array<int>> large(int n) { return ::large(n, 100'000); }
    Generator<int> break_off(int after) { return ::break_off(after); }
    int next() const { return next_; }

private:
    std::atomic<int> next_{0};  // with two methods at once, both use it
};
Actor<Source> source_on(unsigned rank, unsigned at_once = 1) {
    return spawn<Source>({.max_concurrency = at_once, .placement = Placement::on_rank(rank)});
}

/// Reads a method's stream on whichever rank this runs.
long read_method(Actor<Source> source, int n) {
    long sum = 0;
    for (const Ref<int>& item : source.call<&Source::count>(n)) sum += get(item);
    return sum;
}

void methods(unsigned rank) {
    const auto source = source_on(rank);
    for (int begin = 0; begin < 900; begin += 300) {
        int expected = begin;
        for (const Ref<int>& item : source.call<&Source::count>(300)) {
            check_equal(get(item), expected++, "an item of a method");
        }
        check_equal(expected, begin + 300, "the next item of a method");
        check_equal(get(source.call<&Source::next>()), expected, "the state behind a stream");
    }
    Stream<int> none = source.call<&Source::count>(0);
    check(!none.next().has_value(), "an empty stream of a method has items");
    int number = 0;
    for (const auto& item : source.call<&Source::large>(10)) {
        check_equal(get(remote<sum_of>(on((rank + 1) % ranks()), item)), number++ * 100'000L,
                    "the sum of a large item of a method");
    }
    check_equal(number, 10, "the number of large items of a method");
    Stream<int> broken = source.call<&Source::break_off>(2);
    for (int i = 0; i < 2; ++i) check_equal(get(*broken.next()), i, "an item before an error");
    const std::string text = thrown<TaskError>([&] { static_cast<void>(broken.next()); },
                                               "the next of a stream whose method threw");
    check_contains(text, "enough", "the error of a method's stream");
    thrown<BadInput>([] { const auto never = Actor<Source>().call<&Source::count>(3); },
                     "a stream of an actor that is none");
    // Read elsewhere, by several who take turns at the actor.
    const auto shared = source_on(rank);
    std::vector<Ref<long>> sums;
    for (unsigned i = 0; i < 2 * ranks(); ++i) {
        sums.push_back(remote<read_method>(on(i % ranks()), shared, 100));
    }
    long sum = 0;
    for (const long one : get(sums)) sum += one;
    const long all = 200L * ranks();
    check_equal(sum, all * (all - 1) / 2, "what all readers of a method got");
}

/// A method that is ahead of its reader waits, and the calls behind it with it.
void held_back_methods(unsigned rank) {
    constexpr int window = 16;
    const auto made_there = [&] { return get(remote<made_here>(on(rank))); };
    const int before = made_there();
    const auto source = source_on(rank);
    Stream<int> stream = source.call<&Source::count>(100);
    const Ref<int> behind = source.call<&Source::next>();
    await([&] { return made_there() - before >= window; }, "a full window of a method");
    pass_time(milliseconds(5));
    check(made_there() - before <= window + 1, "a method ran ahead of its window");
    check(!behind.done(), "a call went before the stream that an actor was at");
    for (int i = 0; i < 100; ++i) check_equal(get(*stream.next()), i, "an item after a rest");
    check(!stream.next().has_value(), "a method's stream does not end");
    check_equal(get(behind), 100, "the call behind a stream");

    const auto open = source_on(rank, 2);
    Stream<int> beside = open.call<&Source::count>(100);
    check_equal(get(*beside.next()), 0, "the first item beside a call");
    check(get(open.call<&Source::next>()) >= 1, "a call beside a stream");
    for (int i = 1; i < 100; ++i) check_equal(get(*beside.next()), i, "an item beside a call");
    check(!beside.next().has_value(), "a stream beside a call does not end");
}

void dropped_methods(unsigned rank) {
    const auto ended_there = [&] { return get(remote<ended_here>(on(rank))); };
    const int before = ended_there();
    const auto source = source_on(rank);
    {
        Stream<int> stream = source.call<&Source::count>(1'000'000);
        for (int i = 0; i < 5; ++i) check_equal(get(*stream.next()), i, "an item before a drop");
        const Stream<int> queued = source.call<&Source::count>(1'000'000);
    }
    check(get(source.call<&Source::next>()) >= 5, "a call behind a stream that was dropped");
    check_equal(ended_there(), before + 1, "the generators that were begun and ended");
    // The last handle goes before the stream is read.
    Stream<int> left = source_on(rank).call<&Source::count>(200);
    for (int i = 0; i < 200; ++i) check_equal(get(*left.next()), i, "an item without a handle");
    check(!left.next().has_value(), "a stream without a handle does not end");
}

/// What was yielded before the actor's death can be read, then comes the death.
void killed_methods(unsigned rank) {
    const auto made_there = [&] { return get(remote<made_here>(on(rank))); };
    const int before = made_there();
    const auto source = source_on(rank);
    Stream<int> stream = source.call<&Source::count>(1'000'000);
    Stream<int> behind = source.call<&Source::count>(3);
    await([&] { return made_there() - before >= 16; }, "a full window of a method to be killed");
    kill(source);
    Stream<int> after = source.call<&Source::count>(3);
    for (int i = 0; i < 16; ++i) check_equal(get(*stream.next()), i, "an item before a kill");
    const auto rest = [](Stream<int>& dead) {
        while (dead.next()) {
        }
    };
    const std::string text =
        thrown<ActorDied>([&] { rest(stream); }, "the stream of a killed actor");
    check_contains(text, "killed", "why a method's stream ended");
    thrown<ActorDied>([&] { rest(behind); }, "a stream behind it");
    thrown<ActorDied>([&] { rest(after); }, "a stream of a dead actor");
}

int driver(Job& job) {
    after_the_end();
    moved_from();
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        in_order(rank);
        back_pressure(rank);
        errors(rank);
        dropped(rank);
        assigned(rank);
        short_ones(rank);
        methods(rank);
        held_back_methods(rank);
        dropped_methods(rank);
        killed_methods(rank);
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
