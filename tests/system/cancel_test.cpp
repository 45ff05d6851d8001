// SPDX-License-Identifier: Apache-2.0
// Goal: a cancelled task never starts or is asked to stop, on whichever rank it is, with the tasks
// that it submitted. Method: tasks that end only when they are cancelled, and that leave a mark on
// their rank when they begin and when they have been stopped.
#include <atomic>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

std::atomic<int> begun{0}, stopped{0}, ran{0};

struct Mark {
    Mark() { ++begun; }
    ~Mark() { ++stopped; }
};
int spin() {
    Mark mark;
    return run_until_cancelled();
}
/// Never gives way; sees that it was asked.
int look() {
    Mark mark;
    while (!cancelled()) {
    }
    return 5;
}
int look_after(int) { return look(); }
int wait_for_input(Ref<int> input) {
    Mark mark;
    return get(input);
}
int use(int value) {
    ++ran;
    return value;
}
int parent(unsigned depth, unsigned width) {
    Mark mark;
    std::vector<Ref<int>> children;
    for (unsigned i = 0; i < width; ++i) {
        children.push_back(depth == 0
                               ? remote<spin>(on((rank() + i) % ranks()))
                               : remote<parent>(on((rank() + i + 1) % ranks()), depth - 1, width));
    }
    return get(children)[0];
}

struct Patient {
    int use(int value) {
        ++ran;
        return value;
    }
    int stay() { return run_until_cancelled(); }
};

/// Asks for a name that nobody has until it is cancelled.
int search() {
    Mark mark;
    while (!find<Patient>("nobody")) {
    }
    return 0;
}

int begun_here() { return begun.load(); }
int stopped_here() { return stopped.load(); }
int ran_here() { return ran.load(); }
template <int (*count)()>
int sum_over_ranks() {
    int sum = 0;
    for (unsigned rank = 0; rank < ranks(); ++rank) sum += get(remote<count>(on(rank)));
    return sum;
}

void running(unsigned rank) {
    const int before = sum_over_ranks<begun_here>();
    const Ref<int> task = remote<spin>(on(rank));
    await([&] { return sum_over_ranks<begun_here>() == before + 1; }, "the begin of a task");
    cancel(task);
    const std::string text = thrown<Cancelled>([&] { get(task); }, "get of a cancelled task");
    check_contains(text, "spin", "the sentence of a cancelled task");
    await([&] { return sum_over_ranks<stopped_here>() == before + 1; }, "its end");
    cancel(task);  // once more changes nothing

    const Ref<int> input = remote<spin>(on(rank));
    const Ref<int> waiting = remote<wait_for_input>(on(rank), input);
    await([&] { return sum_over_ranks<begun_here>() == before + 3; }, "two tasks to begin");
    cancel(waiting);
    thrown<Cancelled>([&] { get(waiting); }, "get of a task that waited");
    check(!input.done(), "cancelling who waits cancelled what it waits for");
    cancel(input);
    thrown<Cancelled>([&] { get(input); }, "get of its input");
    await([&] { return sum_over_ranks<stopped_here>() == before + 3; }, "the end of both");
}

/// Rank 0 knows the names; others wait for its answer.
void searching(unsigned rank) {
    const int before = sum_over_ranks<begun_here>();
    const Ref<int> task = remote<search>(on(rank));
    await([&] { return sum_over_ranks<begun_here>() == before + 1; }, "the begin of a search");
    cancel(task);
    thrown<Cancelled>([&] { get(task, std::chrono::seconds(20)); }, "get of a cancelled search");
}

void pending(unsigned rank) {
    const int before = sum_over_ranks<ran_here>();
    const Ref<int> input = remote<spin>(on(rank));
    const Ref<int> task = remote<use>(on(rank), input);
    const Ref<int> after = remote<use>(on((rank + 1) % ranks()), task);
    cancel(task);
    thrown<Cancelled>([&] { get(task); }, "get of a task whose input was not there");
    thrown<Cancelled>([&] { get(after); }, "get of what needed a cancelled task");
    cancel(input);
    thrown<Cancelled>([&] { get(input); }, "get of the input");
    check_equal(sum_over_ranks<ran_here>(), before, "how many of the cancelled tasks ran");
    // A finished one stays as it is.
    const Ref<int> finished = remote<use>(on(rank), 3);
    check_equal(get(finished), 3, "a result");
    cancel(finished);
    check_equal(get(finished), 3, "a result that was cancelled too late");
}

void many(unsigned rank) {
    // All workers are taken by tasks that never give way, so that the others are queued.
    std::vector<Ref<int>> blockers, queued;
    for (unsigned i = 0; i < 64; ++i) blockers.push_back(remote<spin>(on(rank)));
    for (int i = 0; i < 500; ++i) queued.push_back(remote<use>(on(rank), i));
    for (const auto& ref : queued) cancel(ref);
    // Whether one had run already is a race; that each ends, one way or the other, is not.
    check_equal(wait(queued, queued.size()).done.size(), queued.size(), "how many ended");
    for (const auto& ref : blockers) cancel(ref);
    for (const auto& ref : blockers) thrown<Cancelled>([&] { get(ref); }, "get of a blocker");
}

/// Each is cancelled in the moment in which a worker may take it.
void at_its_start(unsigned rank) {
    for (int round = 0; round < 500; ++round) {
        const Ref<int> task = remote<use>(on(rank), round);
        cancel(task);
        try {
            check_equal(get(task), round, "the result of a task that was cancelled too late");
        } catch (const Cancelled&) {
        }
    }
}

void recursive(unsigned rank) {
    const int before = sum_over_ranks<begun_here>();
    const Ref<int> root = remote<parent>(on(rank), 2U, 3U);  // 1 + 3 + 9 parents, 27 leaves
    await([&] { return sum_over_ranks<begun_here>() == before + 40; }, "a tree of tasks");
    cancel(root);
    thrown<Cancelled>([&] { get(root); }, "get of the root");
    await([&] { return sum_over_ranks<stopped_here>() == before + 40; }, "the end of the tree");
}

void of_another_rank(unsigned rank) {
    // Who cancels is neither who submitted nor who runs.
    const int before = sum_over_ranks<begun_here>();
    const Ref<int> task = remote<spin>(on(rank));
    await([&] { return sum_over_ranks<begun_here>() == before + 1; }, "the begin of a task");
    get(remote(
        on((rank + 1) % ranks()), [](Ref<int> ref) { cancel(ref); }, task));
    thrown<Cancelled>([&] { get(task); }, "get of a task that another rank cancelled");
    await([&] { return sum_over_ranks<stopped_here>() == before + 1; }, "its end");
}

std::atomic<bool> opened{false};
int when_opened() {
    while (!opened) yield();
    return 1;
}
/// Its child waits for an input that comes only when the parent has been cancelled.
Ref<int> waiting_child;
void parent_of_waiting(Ref<int> input) {
    waiting_child = remote<use>(on((rank() + 1) % ranks()), input);
    Mark mark;
    run_until_cancelled();
}
void waiting_children(unsigned rank) {
    opened = false;
    const int before = sum_over_ranks<begun_here>(), ran_before = sum_over_ranks<ran_here>();
    const Ref<int> input = remote<when_opened>(on(0));
    const Ref<void> parent = remote<parent_of_waiting>(on(rank), input);
    await([&] { return sum_over_ranks<begun_here>() == before + 1; }, "the begin of a parent");
    cancel(parent);
    thrown<Cancelled>([&] { get(parent); }, "get of the parent");
    opened = true;
    check_equal(get(input), 1, "the input that came late");
    get(remote(on(rank), [] {
        const Ref<int> child = std::exchange(waiting_child, {});
        thrown<Cancelled>([&] { get(child); }, "get of the child of a cancelled task");
    }));
    check_equal(sum_over_ranks<ran_here>(), ran_before, "how many of the children ran");
}

/// Keeps the Ref of a task that it submitted, and runs until it is cancelled.
Ref<int> kept_child;
void parent_that_keeps(unsigned at) {
    kept_child = remote<spin>(on(at));
    Mark mark;
    run_until_cancelled();
}
/// What a cancelled task submitted goes on, when that was not asked for.
void not_recursive(unsigned rank) {
    const int before = sum_over_ranks<begun_here>(), over = sum_over_ranks<stopped_here>();
    const Ref<void> parent = remote<parent_that_keeps>(on(rank), (rank + 1) % ranks());
    await([&] { return sum_over_ranks<begun_here>() == before + 2; }, "a parent and its child");
    cancel(parent, false);
    thrown<Cancelled>([&] { get(parent); }, "get of a parent that was cancelled alone");
    await([&] { return sum_over_ranks<stopped_here>() == over + 1; }, "the end of the parent");
    const Ref<int> child = get(remote(on(rank), [] { return std::exchange(kept_child, {}); }));
    thrown<Timeout>([&] { get(child, std::chrono::milliseconds(20)); }, "the child, which goes on");
    check_equal(sum_over_ranks<stopped_here>(), over + 1, "how many have ended");
    cancel(child);
    thrown<Cancelled>([&] { get(child); }, "get of the child after its own cancelling");
    await([&] { return sum_over_ranks<stopped_here>() == over + 2; }, "the end of the child");
}

/// Its rank is told to cancel it in the moment in which the task itself goes there.
void on_its_way(unsigned rank) {
    for (int round = 0; round < 200; ++round) {
        const Ref<int> task = remote<look_after>(on(rank), remote<use>(on(0), round));
        cancel(task);
        try {
            check_equal(get(task, std::chrono::seconds(60)), 5, "what saw that it was cancelled");
        } catch (const Cancelled&) {
        }
    }
}

/// Calls of an actor: one whose input never comes, one behind it, one behind a long one.
void calls(unsigned rank) {
    const int before = sum_over_ranks<ran_here>();
    const auto patient = spawn<Patient>({.placement = Placement::on_rank(rank)});
    const Ref<int> input = remote<spin>(on(rank));
    const Ref<int> waiting = patient.call<&Patient::use>(input);
    const Ref<int> behind = patient.call<&Patient::use>(2);
    cancel(waiting);
    thrown<Cancelled>([&] { get(waiting); }, "get of a call whose input was not there");
    cancel(input);
    check_equal(get(behind), 2, "the call behind a cancelled one");
    const Ref<int> stays = patient.call<&Patient::stay>();
    const Ref<int> queued = patient.call<&Patient::use>(3);
    cancel(queued);
    cancel(stays);
    thrown<Cancelled>([&] { get(stays); }, "get of a cancelled method");
    thrown<Cancelled>([&] { get(queued); }, "get of a call that was queued");
    check_equal(get(patient.call<&Patient::use>(4)), 4, "the actor after all this");
    check_equal(sum_over_ranks<ran_here>(), before + 2, "how many of the calls ran");
}

int driver(Job& job) {
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        running(rank);
        pending(rank);
        many(rank);
        at_its_start(rank);
        recursive(rank);
        waiting_children(rank);
        not_recursive(rank);
        if (rank != 0) on_its_way(rank);
        if (rank != 0) searching(rank);
        of_another_rank(rank);
        calls(rank);
    }
    // One that never waits sees it by asking.
    const unsigned last = job.ranks - 1;
    if (job.ranks > 1) {
        const Ref<int> deaf = remote<look>(on(last));
        cancel(deaf);
        try {
            check_equal(get(deaf), 5, "the result of a task that saw that it was cancelled");
        } catch (const Cancelled&) {
        }
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
