// SPDX-License-Identifier: Apache-2.0
// Goal: tasks run where their bytes are, work that one rank submits spreads over all nodes, at
// once, and a task is on the node that it asks for. Method: the engine's own sums on every rank
// before and after, and the order in which tasks began, which is the same on all nodes because they
// share a kernel and its clock; every answer is checked. Needs three nodes or more, each with as
// many ranks. Prints what it counted. With the word `gpus` it only says where tasks that ask for a
// GPU run; with `nothing` the job starts and ends.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

using Numbers = Array<std::uint64_t>;

constexpr std::size_t megabyte = std::size_t{1} << 20U;
constexpr std::size_t objects = 24;
constexpr std::size_t tasks = 600;
constexpr auto work = std::chrono::milliseconds(2);
constexpr std::size_t short_tasks = 400;
constexpr auto short_work = std::chrono::microseconds(500);

Numbers make(std::uint64_t first) {
    Numbers numbers({megabyte / sizeof(std::uint64_t)});
    std::iota(numbers.mutable_data(), numbers.mutable_data() + numbers.size(), first);
    return numbers;
}
std::uint64_t sum_of(std::uint64_t first) {
    const std::uint64_t count = megabyte / sizeof(std::uint64_t);
    return count * first + count * (count - 1) / 2;
}

struct Answer {
    std::uint64_t sum = 0;
    unsigned rank = 0;
};
Answer add_up(const Numbers& numbers) {
    return {std::accumulate(numbers.data(), numbers.data() + numbers.size(), std::uint64_t{0}),
            rank()};
}

std::uint64_t add_up_thrice(const Numbers& a, const Numbers& b, const Numbers& c) {
    return add_up(a).sum + add_up(b).sum + add_up(c).sum;
}

struct Here {
    unsigned node = 0;
    unsigned rank = 0;
    std::array<char, 64> host{};
};
Here here() {
    std::this_thread::sleep_for(work);
    Here it{.node = node(), .rank = rank()};
    gethostname(it.host.data(), it.host.size() - 1);
    return it;
}

/// Sleeps and does not burn: nodes that share one machine's CPUs must all be able to work.
unsigned busy(int) {
    std::this_thread::sleep_for(work);
    return rank();
}

struct Begun {
    std::int64_t at_ns = 0;
    unsigned rank = 0;
};
Begun begin_and_sleep() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    std::this_thread::sleep_for(short_work);
    return {std::chrono::nanoseconds(now).count(), rank()};
}

Statistics own_statistics() { return statistics(); }

std::vector<Statistics> everywhere() {
    std::vector<Ref<Statistics>> refs;
    for (unsigned r = 0; r < ranks(); ++r) refs.push_back(remote<own_statistics>(on(r)));
    std::vector<Statistics> all;
    for (const auto& ref : refs) all.push_back(get(ref));
    return all;
}

std::uint64_t moved(const std::vector<Statistics>& before, const std::vector<Statistics>& after) {
    std::uint64_t bytes = 0;
    for (std::size_t r = 0; r < before.size(); ++r) {
        bytes += after[r].bytes_fetched - before[r].bytes_fetched;
        bytes += after[r].bytes_received - before[r].bytes_received;
    }
    return bytes;
}

/// Objects on the second node: the tasks that need them run there, and no bytes of them move.
void tasks_go_to_their_bytes() {
    const unsigned home = 1;
    std::vector<Ref<Numbers>> made;
    for (std::uint64_t i = 0; i < objects; ++i) made.push_back(remote<make>(on(home), i));
    wait(made, made.size());
    const auto before = everywhere();
    std::vector<Ref<Answer>> answers;
    for (const auto& numbers : made) answers.push_back(remote<add_up>(numbers));
    for (std::uint64_t i = 0; i < objects; ++i) {
        const Answer answer = get(answers[i]);
        check_equal(answer.sum, sum_of(i), "the sum of an array");
        check_equal(answer.rank, home, "the rank of a task whose bytes are on rank 1");
    }
    const auto after = everywhere();
    const std::uint64_t bytes = moved(before, after);
    std::printf("placement: %zu tasks ran on rank %u, where their %zu MB are; %llu bytes moved\n",
                objects, home, objects, static_cast<unsigned long long>(bytes));
    check_equal(after[home].tasks_received - before[home].tasks_received, objects + 1,
                "the count of tasks that rank 1 was sent");
    check(bytes < megabyte, "bytes moved although the tasks were sent to them");
}

/// The same tasks, made to run where the bytes are not: each array moves once, and no more.
void bytes_move_once() {
    const unsigned home = 1;
    const unsigned away = 2;
    std::vector<Ref<Numbers>> made;
    for (std::uint64_t i = 0; i < objects; ++i) made.push_back(remote<make>(on(home), i));
    wait(made, made.size());
    const auto before = everywhere();
    std::vector<Ref<std::uint64_t>> sums;
    for (const auto& it : made) sums.push_back(remote<add_up_thrice>(on(away), it, it, it));
    for (std::size_t i = 0; i < objects; ++i) {
        check_equal(get(sums[i]), 3 * sum_of(i), "the sum of a fetched array");
    }
    const auto after = everywhere();
    const std::uint64_t bytes = after[away].bytes_fetched - before[away].bytes_fetched;
    std::printf("placement: tasks on rank %u that take each array thrice fetched %.2f MB of %zu\n",
                away, static_cast<double>(bytes) / megabyte, objects);
    check_equal(bytes, objects * megabyte, "what tasks that take each array thrice fetched");
    check(moved(before, after) < objects * megabyte * 11 / 10, "more moved than the arrays");
}

/// All work from the driver: every rank gets its part of it, and almost no bytes move.
void work_spreads() {
    const auto before = everywhere();
    std::vector<Ref<unsigned>> refs;
    for (std::size_t i = 0; i < tasks; ++i) {
        refs.push_back(remote<busy>(static_cast<int>(i)));
    }
    std::vector<std::size_t> ran(ranks());
    for (const unsigned where : get(refs)) ++ran[where];
    const auto after = everywhere();
    const std::uint64_t bytes = moved(before, after);
    std::printf("placement: of %zu tasks from rank 0 ran", tasks);
    for (const std::size_t count : ran) std::printf(" %zu", count);
    std::printf(" per rank; %llu bytes moved\n", static_cast<unsigned long long>(bytes));
    for (unsigned r = 0; r < ranks(); ++r) {
        // All have as many workers, so that a third of an even part says that nobody stood idle
        // for long, also where a machine is shared.
        check(ran[r] >= tasks / ranks() / 3, "rank " + std::to_string(r) + " got too little");
        check(after[r].tasks_run - before[r].tasks_run >= ran[r], "a rank counts too few tasks");
    }
    // A task and its result are two small records.
    check(bytes < tasks * 400, "the tasks moved more than they are");
}

/// Rank 0 submits short tasks. Returns how many it had begun itself when the last of the ranks
/// began its first one.
std::size_t begun_alone() {
    std::vector<Ref<Begun>> refs;
    for (std::size_t i = 0; i < short_tasks; ++i) refs.push_back(remote<begin_and_sleep>());
    std::vector<std::vector<std::int64_t>> begun(ranks());
    for (const Begun& task : get(refs)) begun[task.rank].push_back(task.at_ns);
    std::int64_t last = 0;
    std::printf("placement: first tasks began after");
    for (unsigned r = 0; r < ranks(); ++r) {
        check(!begun[r].empty(), "rank " + std::to_string(r) + " began nothing");
        std::ranges::sort(begun[r]);
        std::printf(" %.2f", static_cast<double>(begun[r][0] - begun[0][0]) / 1e6);
        last = std::max(last, begun[r][0]);
    }
    const auto alone = std::ranges::lower_bound(begun[0], last) - begun[0].begin();
    std::printf(" ms, the last behind %td of rank 0\n", alone);
    return static_cast<std::size_t>(alone);
}

/// All ranks are at work before 10 ms of work are begun on the rank that submits it: 20 tasks.
/// Mostly, because a machine that is shared may keep a rank waiting longer than that.
void all_begin_at_once() {
    std::vector<std::size_t> alone(5);
    for (std::size_t& one : alone) one = begun_alone();
    std::ranges::sort(alone);
    check(alone[2] < std::size_t{std::chrono::milliseconds(10) / short_work},
          "rank 0 had begun " + std::to_string(alone[2]) + " tasks before all ranks were at work");
}

/// A node, not a rank, is asked for: its ranks share the tasks, and no other takes one.
void nodes_are_asked_for() {
    std::set<std::string> hosts;
    for (unsigned n = 0; n < nodes(); ++n) {
        std::vector<Ref<Here>> refs;
        for (std::size_t i = 0; i < objects; ++i) {
            refs.push_back(remote<here>({.placement = Placement::on_node(n)}));
        }
        std::set<unsigned> on_ranks;
        std::set<std::string> on_hosts;
        for (const Here& it : get(refs)) {
            check_equal(it.node, n, "the node of a task");
            on_ranks.insert(it.rank);
            on_hosts.insert(it.host.data());
        }
        check_equal(on_hosts.size(), std::size_t{1}, "the number of hosts that are one node");
        check_equal(on_ranks.size(), std::size_t{ranks() / nodes()},
                    "the number of ranks that ran tasks for node " + std::to_string(n));
        hosts.merge(on_hosts);
    }
    check_equal(hosts.size(), std::size_t{nodes()}, "the number of hosts");
    std::printf("placement: %u nodes ran what was for them, on all their ranks\n", nodes());
}

/// Which hosts have GPUs is the caller's to know.
int gpus_are_where() {
    std::vector<Ref<Here>> refs;
    for (std::size_t i = 0; i < objects; ++i) refs.push_back(remote<here>({.gpus = 1}));
    std::set<std::string> hosts;
    for (const Here& it : get(refs)) hosts.insert(it.host.data());
    std::printf("placement: tasks with a GPU ran on");
    for (const std::string& host : hosts) std::printf(" %s", host.c_str());
    std::printf("\n");
    return 0;
}

int driver(Job& job) {
    if (job.arguments.size() > 1 && job.arguments[1] == "gpus") return gpus_are_where();
    if (job.arguments.size() > 1 && job.arguments[1] == "nothing") return 0;
    check(job.nodes >= 3 && job.ranks % job.nodes == 0, "this needs three nodes");
    nodes_are_asked_for();
    if (job.nodes < job.ranks) return 0;
    all_begin_at_once();
    tasks_go_to_their_bytes();
    bytes_move_once();
    work_spreads();
    std::printf("placement: all as it should be\n");
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
