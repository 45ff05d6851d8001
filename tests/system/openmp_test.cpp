// SPDX-License-Identifier: Apache-2.0
// Goal: a task's OpenMP regions have as many threads as the task has CPUs, on every rank and
// worker, also after it has waited while others ran on its thread. Method: tasks count the threads
// of a region themselves.
#include <omp.h>

#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

int region() {
    int threads = 0;
#pragma omp parallel reduction(+ : threads)
    threads += 1;
    return threads;
}

int plain() { return region(); }
int greedy() {
    omp_set_num_threads(7);
    return region();
}

/// 100 times what it had before it waited, and what it had after.
int around_a_wait(unsigned here) {
    const int before = region();
    get(remote<greedy>(on(here)));
    get(remote<plain>(on(here)));
    return 100 * before + region();
}

struct Counter {
    int count() { return region(); }
};

TaskOptions with(double cpus, unsigned rank) {
    return {.cpus = cpus, .placement = Placement::on_rank(rank)};
}

int driver(Job& job) {
    const int own = region();
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        for (int round = 0; round < 10; ++round) {
            check_equal(get(remote<greedy>(on(rank))), 7, "threads that a task asked for");
            check_equal(get(remote<plain>(on(rank))), 1, "threads of a task with 1 CPU");
            check_equal(get(remote<plain>(with(2, rank))), 2, "threads of a task with 2 CPUs");
            check_equal(get(remote<plain>(with(0.5, rank))), 1, "threads of a task with 0.5 CPUs");
        }

        check_equal(get(remote<around_a_wait>(with(1, rank), rank)), 101, "threads around a wait");
        const auto counter = spawn<Counter>({.cpus = 2, .placement = Placement::on_rank(rank)});
        check_equal(get(counter.call<&Counter::count>()), 2, "threads of a method");
        const auto light = spawn<Counter>({.placement = Placement::on_rank(rank)});
        check_equal(get(light.call<&Counter::count>()), 1, "threads of a method without CPUs");
    }
    check_equal(region(), own, "threads of the driver");
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
