// SPDX-License-Identifier: Apache-2.0
// Goal: a Promise completes its Ref once, from any thread of its rank, and the Ref is like others
// on every rank; none that waits for it is left alone where it is destroyed or cancelled. Method:
// the driver, tasks, actors on every rank and threads of the program's own complete Promises with
// values of all sizes, early and late, at the same time as others cancel or wait.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

struct Diverged : std::runtime_error {
    using std::runtime_error::runtime_error;
    int step = 0;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(step);
    }
};
const bool diverged_travels = travels<Diverged>();

int one_more(int n) { return n + 1; }
std::size_t size_of(const std::string& text) { return text.size(); }
int value_of(Ref<int> ref) { return get(ref); }
int nothing_before() { return 1; }
long sum(const std::vector<int>& numbers) {
    long total = 0;
    for (const int number : numbers) total += number;
    return total;
}

/// Has Promises on its rank for others to wait for.
class Gate {
public:
    Ref<int> ref() const { return promise_->ref(); }
    Ref<std::string> text() const { return text_.ref(); }
    void open(int value) { promise_->set_value(value); }
    void tell(std::size_t bytes) { text_.set_value(std::string(bytes, 't')); }
    void fail(int step) {
        Diverged error("it grows");
        error.step = step;
        promise_->set_exception(std::move(error));
    }
    void drop() { promise_.reset(); }
    bool cancelled() const { return promise_->cancelled(); }

private:
    std::optional<Promise<int>> promise_{std::in_place};
    Promise<std::string> text_;
};
Actor<Gate> gate_on(unsigned rank) { return spawn<Gate>({.placement = Placement::on_rank(rank)}); }

void completed_by_the_driver(unsigned rank) {
    Promise<int> promise;
    const Ref<int> ref = promise.ref();
    const Ref<int> next = remote<one_more>(on(rank), ref);
    const Ref<int> passed_on = remote<value_of>(on(rank), ref);
    check(!ref.done() && !next.done(), "it was done before it was completed");
    thrown<Timeout>([&] { get(ref, std::chrono::milliseconds(1)); }, "a wait for a Promise");
    promise.set_value(4);
    check(ref.done(), "it is not done");
    check_equal(get(next), 5, "a task that waited");
    check_equal(get(passed_on), 4, "a task with the Ref");
    check_equal(get(remote<one_more>(on(rank), promise.ref())), 5, "a task afterwards");

    Promise<void> event;
    const Ref<void> happened = event.ref();
    event.set_value();
    get(happened);

    Promise<std::unique_ptr<int>> movable;
    movable.set_value(std::make_unique<int>(6));
    check_equal(*get(movable.ref()), 6, "a value that can only be moved");
}

void completed_elsewhere(unsigned rank) {
    for (const std::size_t bytes : {0UL, 3000UL, 300'000UL}) {
        const auto gate = gate_on(rank);
        const Ref<std::string> text = get(gate.call<&Gate::text>());
        std::vector<Ref<std::size_t>> sizes;
        for (unsigned other = 0; other < ranks(); ++other) {
            sizes.push_back(remote<size_of>(on(other), text));
        }
        static_cast<void>(gate.call<&Gate::tell>(bytes));
        for (const std::size_t size : get(sizes)) check_equal(size, bytes, "the size of a text");
        check_equal(view(text)->size(), bytes, "the size of a text here");
    }
    const auto gate = gate_on(rank);
    const Ref<int> first = get(gate.call<&Gate::ref>());
    const auto other = gate_on((rank + 1) % ranks());
    const std::vector<Ref<int>> refs{first, get(other.call<&Gate::ref>())};
    static_cast<void>(other.call<&Gate::open>(7));
    check_equal(when_any(refs), 1U, "the first of two");
    const Ref<long> total = remote<sum>(on(rank), refs);
    static_cast<void>(gate.call<&Gate::open>(8));
    check_equal(get(total), 15, "the sum of two");
    for (const std::size_t i : as_completed(refs)) check(refs[i].done(), "one that is completed");
}

void exceptions(unsigned rank) {
    const auto gate = gate_on(rank);
    const Ref<int> ref = get(gate.call<&Gate::ref>());
    const Ref<int> next = remote<one_more>(on((rank + 1) % ranks()), ref);
    static_cast<void>(gate.call<&Gate::fail>(3));
    try {
        get(ref);
        testing::fail("a failed one has a value");
    } catch (const Diverged& error) {
        check_equal(error.step, 3, "the step of what was given");
    }
    const std::string text = thrown<TaskError>([&] { get(next); }, "a task with a failed input");
    check_contains(text, "a Promise was given", "its sentence");
    check_contains(text, "on rank " + std::to_string(rank) + ": it grows", "its sentence");
    check_contains(text, "needed by", "its sentence");

    Promise<int> passing;  // what a task failed by is passed on as it is
    try {
        get(next);
    } catch (...) {
        passing.set_exception(std::current_exception());
    }
    check_equal(thrown<TaskError>([&] { get(passing.ref()); }, "what was passed on"), text,
                "its sentence");
    Promise<int> refused;
    refused.set_exception(std::make_exception_ptr(Cancelled("not now")));
    check_equal(thrown<Cancelled>([&] { get(refused.ref()); }, "a Cancelled"), "not now", "it");
}

void broken(unsigned rank) {
    const auto gate = gate_on(rank);
    const Ref<int> ref = get(gate.call<&Gate::ref>());
    const Ref<int> next = remote<one_more>(on(0), ref);
    static_cast<void>(gate.call<&Gate::drop>());
    const std::string text = thrown<BrokenPromise>([&] { get(ref); }, "a destroyed Promise");
    check_equal(text,
                "the Promise of the object was destroyed on rank " + std::to_string(rank) +
                    " before set_value or set_exception was called",
                "its sentence");
    check_contains(thrown<BrokenPromise>([&] { get(next); }, "what waited for it"), "needed by",
                   "the sentence of that");

    Ref<std::string> of_killed;
    {
        const auto killed = gate_on(rank);
        of_killed = get(killed.call<&Gate::text>());
        kill(killed);
    }
    thrown<BrokenPromise>([&] { get(of_killed); }, "the Promise of an actor that is gone");
}

void once() {
    Promise<int> promise;
    promise.set_value(1);
    const std::string text = thrown<BadInput>([&] { promise.set_value(2); }, "a second value");
    check_contains(text, "was completed already", "its sentence");
    thrown<BadInput>([&] { promise.set_exception(std::runtime_error("no")); }, "an exception");
    check_equal(get(promise.ref()), 1, "the value");
    Promise<int> moved = std::move(promise);
    check_contains(
        thrown<BadInput>([&] { promise.set_value(3); }, "what was moved from"),  // NOLINT
        "was moved from", "its sentence");
    thrown<BadInput>([&] { moved.set_value(2); }, "a second value after a move");
    thrown<BadInput>([&] { Promise<int>().set_exception(std::exception_ptr()); }, "no exception");

    Promise<int> assigned;
    const Ref<int> lost = assigned.ref();
    assigned = std::move(moved);
    thrown<BrokenPromise>([&] { get(lost); }, "one that was assigned to");
    check_equal(get(assigned.ref()), 1, "the value of what was assigned");
}

/// Its move throws when it is told to.
struct Touchy {
    int value = 0;
    Touchy() = default;
    explicit Touchy(int v) : value(v) {}
    Touchy(const Touchy& other) : value(other.value) {
        if (value < 0) throw std::invalid_argument("negative");
    }
    template <class Archive>
    void serialize(Archive& archive) {
        archive(value);
    }
};
void not_by_what_throws() {
    Promise<Touchy> promise;
    const Touchy negative(-1);
    thrown<std::invalid_argument>([&] { promise.set_value(negative); }, "a value that throws");
    check(!promise.ref().done(), "it was completed by what threw");
    promise.set_value(Touchy(2));
    check_equal(get(promise.ref()).value, 2, "the value afterwards");
}

void cancelling(unsigned rank) {
    const auto gate = gate_on(rank);
    const Ref<int> ref = get(gate.call<&Gate::ref>());
    const Ref<int> next = remote<one_more>(on(rank), ref);
    check(!get(gate.call<&Gate::cancelled>()), "it was cancelled before");
    cancel(ref);
    check_contains(thrown<Cancelled>([&] { get(ref); }, "a cancelled Promise"),
                   "the object of a Promise was cancelled", "its sentence");
    thrown<Cancelled>([&] { get(next); }, "what waited for it");
    await([&] { return get(gate.call<&Gate::cancelled>()); }, "that the Promise knows");
    get(gate.call<&Gate::open>(1));  // has no effect
    const std::string text =
        thrown<TaskError>([&] { get(gate.call<&Gate::open>(1)); }, "a second completion");
    check_contains(text, "was completed already", "its sentence");
    thrown<Cancelled>([&] { get(ref); }, "a cancelled Promise, completed later");

    Promise<int> done;
    done.set_value(1);
    cancel(done.ref());
    check_equal(get(done.ref()), 1, "a value that is cancelled too late");
    check(!done.cancelled(), "it was cancelled too late");
}

/// Threads of the program's own, against one another and against cancels.
void threads(unsigned rank) {
    constexpr int rounds = 300;
    int values = 0, cancels = 0;
    for (int i = 0; i < rounds; ++i) {
        Promise<int> promise;
        const Ref<int> ref = promise.ref();
        const Ref<int> next = remote<one_more>(on(rank), ref);
        std::atomic<int> refused{0};
        const auto complete = [&](int value) {
            try {
                promise.set_value(value);
            } catch (const BadInput&) {
                ++refused;
            }
        };
        std::thread first([&] { complete(i); }), second([&] { complete(i); });
        if (i % 2 == 0) cancel(ref);
        try {
            check_equal(get(next), i + 1, "a value of a thread");
            ++values;
        } catch (const Cancelled&) {
            ++cancels;
        }
        first.join();
        second.join();
        check_equal(refused.load(), 1, "threads that came second");
        check(ref.done(), "it is not done");
    }
    check(values >= rounds / 2, "values were lost");
    check_equal(values + cancels, rounds, "rounds");
}

/// What a thread of the program's own sends goes out at once, also where all others sleep.
void threads_are_prompt(unsigned rank) {
    for (int i = 0; i < 20; ++i) {
        Promise<int> promise;
        Promise<void> never;
        const Ref<int> next = remote<one_more>(on(rank), promise.ref());
        const Ref<void> dropped = never.ref();
        std::thread thread([&, lost = std::move(never)] {
            std::this_thread::sleep_for(std::chrono::milliseconds(5));  // until they sleep
            const auto gate = gate_on(rank);
            const Ref<int> other = get(gate.call<&Gate::ref>());
            static_cast<void>(gate.call<&Gate::open>(get(remote<one_more>(on(rank), 1))));
            promise.set_value(get(other));
        });
        check_equal(get(next), 3, "what a thread has set off");
        thread.join();
        thrown<BrokenPromise>([&] { get(dropped); }, "what went with the thread");
    }
}

/// A thread that waits for what another thread completes.
void a_thread_waits() {
    Promise<int> question, answer;
    std::thread other([&] { answer.set_value(get(question.ref()) + 1); });
    question.set_value(1);
    check_equal(get(answer.ref()), 2, "an answer of a thread");
    other.join();
}

/// Items that are made by hand.
Generator<Ref<int>> refs_of(Actor<Gate> gate) {
    co_yield get(gate.call<&Gate::ref>());
    Promise<int> own;
    co_yield own.ref();
    own.set_value(11);
}
void streamed(unsigned rank) {
    const auto gate = gate_on(rank);
    auto items = remote<refs_of>(on(rank), gate);
    const Ref<int> first = get(*items.next());
    const Ref<int> second = get(*items.next());
    check_equal(get(second), 11, "an item that was completed after it was yielded");
    static_cast<void>(gate.call<&Gate::open>(12));
    check_equal(get(first), 12, "an item that was completed by a call");
}

/// What is left alone when the driver returns ends with the job.
void left_behind(unsigned rank) {
    static Promise<int> for_ever;
    static_cast<void>(remote<one_more>(on(rank), for_ever.ref()));
    static_cast<void>(remote<value_of>(on(rank), for_ever.ref()));
}

int driver(Job& job) {
    const auto begin = std::chrono::steady_clock::now();
    once();
    not_by_what_throws();
    a_thread_waits();
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        completed_by_the_driver(rank);
        completed_elsewhere(rank);
        exceptions(rank);
        broken(rank);
        cancelling(rank);
        threads(rank);
        threads_are_prompt(rank);
        streamed(rank);
        check_equal(get(remote<nothing_before>(on(rank))), 1, "a task after all of that");
    }
    // The first beat of this job comes after half a minute.
    check(std::chrono::steady_clock::now() - begin < std::chrono::seconds(15),
          "what a thread has sent went out with a beat only");
    for (unsigned rank = 0; rank < job.ranks; ++rank) left_behind(rank);
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
