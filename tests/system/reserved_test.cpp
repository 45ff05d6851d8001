// SPDX-License-Identifier: Apache-2.0
// Goal: CPUs that an actor holds are kept from all tasks, those that ask for the usual one CPU too;
// what needs just these CPUs still gets on. Method: an actor holds some or all CPUs of the last
// rank, tasks count how many of them run there at once, and go-between tasks say what has not run.
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;
using std::chrono::seconds;

std::atomic<int> ran{0}, inside{0}, most{0};

/// Counts itself, and how many run at once, without giving way.
unsigned count(int) {
    ++ran;
    const int now = ++inside;
    for (int seen = most.load(); seen < now && !most.compare_exchange_weak(seen, now);) {
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    --inside;
    return mobula::rank();
}
unsigned count_twice(int i) {
    const unsigned rank = count(i);
    mobula::yield();
    count(i);
    return rank;
}
unsigned with_child(int i) { return get(remote<count>(on(mobula::rank()), i)); }
unsigned recurse(int depth) {
    if (depth == 0) return 1;
    const auto left = remote<recurse>(on(mobula::rank()), depth - 1);
    return get(left) + get(remote<recurse>(on(mobula::rank()), depth - 1));
}

struct Holder {
    int take_ran() { return ran.exchange(0); }
    int take_most() { return most.exchange(0); }
    /// Its tasks need the CPUs that the actor holds.
    unsigned ask(int depth) { return get(remote<recurse>(on(mobula::rank()), depth)); }
    unsigned cpus() { return mobula::workers(); }
};
/// Has no CPUs of its own, so it may look while they are all taken.
struct Looker : Holder {};

const TaskOptions& far() {
    static const TaskOptions options = on(ranks() - 1);
    return options;
}
Actor<Holder> hold(double cpus) {
    const Actor<Holder> holder = spawn<Holder>({.cpus = cpus, .placement = far().placement});
    get(holder.ready(), seconds(20));
    return holder;
}

void none_runs_while_all_is_held(double all) {
    const auto looker = spawn<Looker>({.placement = far().placement});
    get(looker.call<&Holder::take_ran>());
    const auto holder = hold(all);
    TaskOptions half = far();
    half.cpus = 0.5;
    TaskOptions urgent = far();
    urgent.priority = 7;
    std::vector<Ref<unsigned>> waiting;
    for (int i = 0; i < 3; ++i) {
        waiting.push_back(remote<count>(far(), i));
        waiting.push_back(remote<count_twice>(half, i));
        waiting.push_back(remote<count>(urgent, i));
    }
    // Those that may run anywhere go elsewhere.
    if (ranks() > 1) {
        std::vector<Ref<unsigned>> anywhere;
        for (int i = 0; i < 40; ++i) anywhere.push_back(remote<count>(i));
        for (const unsigned rank : get(anywhere, seconds(20))) {
            check(rank != ranks() - 1, "a task ran where all CPUs are held");
        }
    }
    // Calls of both actors go on, and there was time enough for the tasks.
    for (int i = 0; i < 20; ++i) get(holder.call<&Holder::take_most>(), seconds(20));
    check_equal(wait(waiting, 1, std::chrono::milliseconds(50)).done.size(), 0U,
                "how many tasks ran where all CPUs are held");
    if (ranks() > 1) {
        check_equal(get(looker.call<&Holder::take_ran>(), seconds(20)), 0,
                    "the tasks counted there");
    }
    // A method of the holder waits for tasks that need its CPUs: it lends them.
    check_equal(get(holder.call<&Holder::ask>(3), seconds(20)), 8U, "the sum of a method's tasks");
    kill(holder);
    for (const unsigned rank : get(waiting, seconds(20))) {
        check_equal(rank, ranks() - 1, "where a task ran after the actor's end");
    }
}

std::atomic<bool> begun{false}, enough{false};

/// How many usual tasks ran since it began.
int alone(int) {
    ran = 0;
    begun = true;
    const auto end = std::chrono::steady_clock::now() + seconds(60);
    while (!enough && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    return ran;
}

/// A task that was given all CPUs has them for itself, on the driver's only rank too.
void none_runs_beside_a_task(double all) {
    if (ranks() != 1 || all < 2) return;  // the driver needs a worker to look from
    const Ref<int> task = remote<alone>({.cpus = all}, 0);
    for (const auto end = std::chrono::steady_clock::now() + seconds(60); !begun; yield()) {
        check(std::chrono::steady_clock::now() < end, "a task of all CPUs does not begin");
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::vector<Ref<unsigned>> waiting;
    for (int i = 0; i < 10; ++i) waiting.push_back(remote<count>(i));
    check_equal(wait(waiting, 1, std::chrono::milliseconds(50)).done.size(), 0U,
                "how many tasks ran beside one of all CPUs");
    enough = true;
    check_equal(get(task, seconds(20)), 0, "the usual tasks counted by one of all CPUs");
    get(waiting, seconds(20));
}

/// As many run at once as there are CPUs left.
void as_many_as_are_left(unsigned all) {
    for (unsigned held = 1; held < all; ++held) {
        const auto holder = hold(held - 0.5);
        get(holder.call<&Holder::take_most>());
        std::vector<Ref<unsigned>> tasks;
        for (int i = 0; i < 40; ++i) {
            tasks.push_back(i % 4 == 0 ? remote<with_child>(far(), i) : remote<count>(far(), i));
        }
        get(tasks, seconds(20));
        check_equal(get(remote<recurse>(far(), 6), seconds(20)), 64U, "a tree beside an actor");
        const int at_once = get(holder.call<&Holder::take_most>());
        check(at_once >= 1 && at_once <= static_cast<int>(all - held),
              std::to_string(at_once) + " tasks at once beside an actor of " +
                  std::to_string(held - 0.5) + " CPUs of " + std::to_string(all));
    }
}

/// Tasks that demand CPUs and usual ones: neither kind keeps the other from running.
void both_kinds_get_on(double all) {
    TaskOptions whole = far();
    whole.cpus = all;
    TaskOptions half = far();
    half.cpus = 0.5;
    std::vector<Ref<unsigned>> tasks;
    for (int i = 0; i < 30; ++i) {
        tasks.push_back(remote<with_child>(whole, i));
        tasks.push_back(remote<with_child>(far(), i));
        tasks.push_back(remote<count_twice>(half, i));
    }
    get(tasks, seconds(20));
}

/// What demands CPUs comes again and again; a usual task gets its turn between.
void nobody_starves() {
    TaskOptions half = far();
    half.cpus = 0.5;
    std::vector<Ref<unsigned>> demanding;
    for (int i = 0; i < 8; ++i) demanding.push_back(remote<count>(half, i));
    const Ref<unsigned> usual = remote<count>(far(), 0);
    for (int i = 0; !usual.done(); ++i) {
        check(i < 2000, "a usual task starved");
        demanding.push_back(remote<count>(half, i));
        get(demanding[static_cast<std::size_t>(i)], seconds(20));
    }
    get(demanding, seconds(20));
}

int driver(Job&) {
    const auto all = get(remote([] { return workers(); }));
    none_runs_while_all_is_held(all);
    none_runs_beside_a_task(all);
    as_many_as_are_left(all);
    both_kinds_get_on(all);
    nobody_starves();
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
