// SPDX-License-Identifier: Apache-2.0
// Goal: tasks and actors run where they were asked to, take no more than there is, and are refused
// at once when no rank could ever take them. Method: each rank is told to have 4 workers, 2 GPUs
// and custom resources; tasks count how many of them hold a resource at once.
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

std::atomic<int> holding{0}, most{0};

unsigned where() { return mobula::rank(); }
unsigned which_node() { return mobula::node(); }
/// Holds what it was given for a while and notes how many did so at once.
int hold(int turns) {
    const int now = ++holding;
    for (int seen = most.load(); seen < now && !most.compare_exchange_weak(seen, now);) {
    }
    for (int i = 0; i < turns; ++i) mobula::yield();
    --holding;
    return now;
}
int take_most() { return most.exchange(0); }
Generator<int> one_item() { co_yield 1; }
std::vector<unsigned> which_gpus() { return mobula::gpus(); }

struct Holder {
    unsigned where() { return mobula::rank(); }
    std::vector<unsigned> gpus() { return mobula::gpus(); }
    void nothing() {}
};

void where_asked(unsigned rank) {
    check_equal(get(remote<where>(on(rank))), rank, "a task's rank");
    check_equal(get(remote<where>({.placement = Placement::on_rank(rank, false)})), rank,
                "a task's rank by a wish");
    check_equal(get(spawn<Holder>({.placement = Placement::on_rank(rank)}).call<&Holder::where>()),
                rank, "an actor's rank");
    const unsigned node = get(remote<which_node>(on(rank)));
    check_equal(get(remote<which_node>({.placement = Placement::on_node(node)})), node,
                "a task's node");
    const unsigned nobody = ranks() + 7;
    const std::string text =
        thrown<Infeasible>([&] { remote<where>(on(nobody)); }, "a rank that does not exist");
    check_contains(text, std::to_string(nobody), "the refusal of a rank");
    const std::string negative =
        thrown<Infeasible>([&] { remote<where>(on(unsigned(-1))); }, "a negative rank");
    check_contains(negative, "rank -1, and the job has", "the refusal of a negative rank");
    check(get(remote<where>({.placement = Placement::on_rank(nobody, false)})) < ranks(),
          "a wish for a rank that does not exist was not ignored");
    thrown<Infeasible>([&] { remote<where>({.placement = Placement::on_node(nodes() + 3)}); },
                       "a node that does not exist");
    thrown<Infeasible>([&] { spawn<Holder>({.placement = Placement::on_rank(nobody)}); },
                       "an actor on a rank that does not exist");
}

void spread_and_pack() {
    std::vector<Ref<unsigned>> refs;
    for (unsigned i = 0; i < 4 * ranks(); ++i) {
        refs.push_back(remote<where>({.placement = Placement::spread()}));
    }
    std::vector<unsigned> count(ranks());
    for (const unsigned rank : get(refs)) ++count[rank];
    for (const unsigned n : count) check_equal(n, 4U, "how many of the spread tasks a rank got");
    for (int i = 0; i < 5; ++i) {
        check_equal(get(remote<where>({.placement = Placement::pack()})), 0U,
                    "the rank of a packed task");
    }
    std::set<unsigned> used;
    std::vector<Actor<Holder>> actors;
    for (unsigned i = 0; i < ranks(); ++i) {
        actors.push_back(spawn<Holder>({.placement = Placement::spread()}));
        used.insert(get(actors.back().call<&Holder::where>()));
    }
    check_equal(used.size(), static_cast<std::size_t>(ranks()), "the ranks of spread actors");
}

/// Runs more tasks than fit at once, and checks that as many as fit held it at once.
void shares(unsigned rank, TaskOptions options, int fit, const std::string& what) {
    options.placement = Placement::on_rank(rank);
    get(remote<take_most>(on(rank)));
    std::vector<Ref<int>> tasks;
    for (int i = 0; i < 6 * fit; ++i) tasks.push_back(remote<hold>(options, 5));
    for (const int now : get(tasks)) check(now <= fit, "more tasks at once than " + what);
    check(get(remote<take_most>(on(rank))) <= fit, "more at once than there is of " + what);
}

void resources(unsigned rank) {
    shares(rank, {.cpus = 4}, 1, "4 CPUs each");
    shares(rank, {.cpus = 2}, 2, "2 CPUs each");
    shares(rank, {.cpus = 0.5}, 8, "half a CPU each");
    shares(rank, {.cpus = 0, .resources = {{"licence", 1}}}, 3, "licences");
    shares(rank, {.cpus = 0, .resources = {{"licence", 0.5}}}, 6, "half licences");
    shares(rank, {.cpus = 0, .resources = {{"licence", 1}, {"disk", 2}}}, 1, "disk and licence");
    shares(rank, {.cpus = 0, .gpus = 1}, 2, "GPUs");
    shares(rank, {.cpus = 0, .gpus = 0.25}, 8, "quarters of GPUs");
    TaskOptions gpu = on(rank);
    check(get(remote<which_gpus>(gpu)).empty(), "a task without GPUs was given one");
    gpu.gpus = 2;
    std::vector<unsigned> given = get(remote<which_gpus>(gpu));
    std::sort(given.begin(), given.end());
    check(given == std::vector<unsigned>{0, 1}, "a task was given other GPUs than 0 and 1");
    gpu.gpus = 1;
    check_equal(get(remote<which_gpus>(gpu)).size(), 1U, "the number of GPUs of a task");
    {
        ActorOptions options{.gpus = 1, .placement = Placement::on_rank(rank)};
        const auto one = spawn<Holder>(options), other = spawn<Holder>(options);
        const auto first = get(one.call<&Holder::gpus>());
        const auto second = get(other.call<&Holder::gpus>());
        check(first.size() == 1 && second.size() == 1 && first != second,
              "two actors were given the same GPU");
        // Both are taken: a third has to wait for an end.
        const auto third = spawn<Holder>(options);
        thrown<Timeout>([&] { get(third.ready(), std::chrono::milliseconds(20)); },
                        "an actor for which there is no GPU");
        kill(one);
        check(get(third.call<&Holder::gpus>()) == first, "the third actor has another GPU");
    }
    check_equal(get(remote<which_gpus>(gpu)).size(), 1U, "the GPUs of a task after actors ended");
}

/// Who was cancelled while it waited for a resource takes none.
void cancelled_in_the_queue(unsigned rank) {
    TaskOptions all = on(rank);
    all.resources = {{"licence", 3}};
    const Ref<int> holder = remote<run_until_cancelled>(all);
    const Ref<int> queued = remote<run_until_cancelled>(all);
    get(remote<where>(on(rank)));  // both have come there
    cancel(queued);
    cancel(holder);
    thrown<Cancelled>([&] { get(queued); }, "what was cancelled in the queue");
    check_equal(get(remote<where>(all), std::chrono::seconds(20)), rank,
                "where a task ran that needs what they gave back");
}

/// Who is cancelled or killed while it waits for what an actor has for life is over at once.
void cancelled_behind_an_actor(unsigned rank) {
    TaskOptions all = on(rank);
    all.resources = {{"licence", 3}};
    const ActorOptions for_life{.resources = all.resources, .placement = all.placement};
    const auto holder = spawn<Holder>(for_life);
    get(holder.ready());
    const Ref<unsigned> queued = remote<where>(all);
    const auto late = spawn<Holder>(for_life);
    const Ref<void> ready = late.ready();
    get(remote<where>(on(rank)));  // both have come there
    cancel(queued);
    thrown<Cancelled>([&] { get(queued, std::chrono::seconds(20)); }, "a task behind an actor");
    kill(late);
    thrown<ActorDied>([&] { get(ready, std::chrono::seconds(20)); }, "an actor behind an actor");
}

void infeasible() {
    const std::string cpus = thrown<Infeasible>([] { remote<where>({.cpus = 5}); }, "5 CPUs");
    check_contains(cpus, "5", "the refusal of 5 CPUs");
    check_contains(cpus, "4", "what there is instead of 5 CPUs");
    const std::string gpus = thrown<Infeasible>([] { remote<where>({.gpus = 3}); }, "3 GPUs");
    check_contains(gpus, "3", "the refusal of 3 GPUs");
    const std::string other = thrown<Infeasible>(
        [] {
            remote<where>({.resources = {{"unicorn", 1}}});
        },
        "a unicorn");
    check_contains(other, "unicorn", "the refusal of a unicorn");
    thrown<Infeasible>([] { spawn<Holder>({.resources = {{"licence", 4}}}); }, "4 licences");
    thrown<Infeasible>([] { spawn<Holder>({.cpus = 400}); }, "an actor of 400 CPUs");
    thrown<Error>([] { remote<where>({.resources = {{"licence", -2}}}); }, "a debt of licences");
    // Inside a task it is the same.
    const std::string inside = thrown<Infeasible>(
        [] { get(remote([] { remote<where>({.cpus = 99}); })); }, "a task that asks for 99 CPUs");
    check_contains(inside, "99", "the refusal inside a task");
}

/// Options that are wrong are refused, and in the same words for tasks and actors.
void wrong() {
    const double no_number = std::nan("");
    for (const double cpus : {-1.0, no_number, 1e300, 1e-9}) {
        const std::string task = thrown<BadInput>([&] { remote<where>({.cpus = cpus}); }, "a task");
        check_contains(task, "cpus = ", "the refusal of " + std::to_string(cpus) + " CPUs");
        check_equal(thrown<BadInput>([&] { spawn<Holder>({.cpus = cpus}); }, "an actor"), task,
                    "what is said of an actor's CPUs");
    }
    for (const double gpus : {-1.0, no_number, 1.5}) {
        const std::string task = thrown<BadInput>([&] { remote<where>({.gpus = gpus}); }, "a task");
        check_equal(thrown<BadInput>([&] { spawn<Holder>({.gpus = gpus}); }, "an actor"), task,
                    "what is said of an actor's GPUs");
    }
    check_contains(thrown<BadInput>([] { spawn<Holder>({.max_concurrency = 0}); }, "0 at once"),
                   "max_concurrency = 0", "the refusal of no method at once");
    check_contains(thrown<BadInput>([] { remote<where>({.stream_window = 0}); }, "a task"),
                   "stream_window = 0", "the refusal of no item ahead");
    check_contains(
        thrown<BadInput>([] { const auto never = remote<one_item>({.stream_window = 0}); },
                         "a stream"),
        "stream_window = 0", "the refusal of no item ahead of a stream");
}

/// The bytes draw the task to them, unless something else is said.
void near_data(unsigned rank) {
    const auto data = remote(on(rank), [] { return Array<char>({8'000'000}); });
    wait(std::vector{data});
    for (int i = 0; i < 3; ++i) {
        check_equal(get(remote([](const Array<char>&) { return mobula::rank(); }, data)), rank,
                    "where a task ran whose input is large");
    }
}

int driver(Job& job) {
    check_equal(workers(), 4U, "the number of workers");
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        where_asked(rank);
        resources(rank);
        near_data(rank);
        cancelled_in_the_queue(rank);
        cancelled_behind_an_actor(rank);
    }
    spread_and_pack();
    infeasible();
    wrong();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const int code = mobula::run(argc, argv, driver);
    // What main() does after the job may depend on the rank.
    const char* const given = std::getenv("OMPI_COMM_WORLD_RANK");
    if (given == nullptr || mobula::rank() == std::stoul(given)) return code;
    std::fprintf(stderr, "rank %s is rank %u after the job\n", given, mobula::rank());
    return 1;
}
