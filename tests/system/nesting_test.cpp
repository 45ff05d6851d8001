// SPDX-License-Identifier: Apache-2.0
// Goal: tasks and methods submit and wait to any depth, and ten thousand wait at once on one
// worker, without a deadlock. Method: recursions with known answers; tasks that all wait for one
// object that comes last.
#include <atomic>
#include <string>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

constexpr int waiting_at_once = 10'000;

long fib(int n) {
    if (n < 2) return n;
    const Ref<long> a = remote<fib>(n - 1), b = remote<fib>(n - 2);
    return get(a) + get(b);
}
long fib_spread(int n) {
    if (n < 2) return n;
    const Ref<long> a = remote<fib_spread>({.placement = Placement::spread()}, n - 1);
    const Ref<long> b = remote<fib_spread>(on((rank() + 1) % ranks()), n - 2);
    return get(a) + get(b);
}
int deep(int depth) {
    if (depth == 0) return 0;
    return get(remote<deep>(on((rank() + 1) % ranks()), depth - 1)) + 1;
}
int deep_here(int depth) { return depth == 0 ? 0 : get(remote<deep_here>(depth - 1)) + 1; }

std::atomic<int> waiting{0};
long wait_for(Ref<long> ref) {
    ++waiting;
    return get(ref);
}
int waiting_here() { return waiting.load(); }

/// A node of a tree of actors that makes its children itself.
class Node {
public:
    explicit Node(int depth) : depth_(depth) {
        if (depth == 0) return;
        for (unsigned i = 1; i <= 2; ++i) {
            children_.push_back(
                spawn<Node>({.placement = Placement::on_rank((rank() + i) % ranks())}, depth - 1));
        }
    }
    int count() {
        std::vector<Ref<int>> counts;
        for (const auto& child : children_) counts.push_back(child.call<&Node::count>());
        int sum = 1;
        for (const int n : get(counts)) sum += n;
        return sum;
    }
    /// A task that calls back into another actor, which waits for a task.
    int mixed(int n) {
        if (n == 0 || children_.empty()) return depth_;
        return get(remote([](Actor<Node> node, int m) { return get(node.call<&Node::mixed>(m)); },
                          children_[0], n - 1)) +
               1;
    }

private:
    std::vector<Actor<Node>> children_;
    int depth_;
};

/// 10,000 tasks of one rank wait at once; on the last rank of the job, and on the driver's.
void many_wait(unsigned rank) {
    const Ref<int> gate = remote<run_until_cancelled>(on(0));
    const int before = get(remote<waiting_here>(on(rank)));
    const Ref<long> value = remote(
        [](Ref<int> g) {
            try {
                get(g);
            } catch (const Cancelled&) {
            }
            return 1L;
        },
        gate);
    std::vector<Ref<long>> tasks;
    for (int i = 0; i < waiting_at_once; ++i) tasks.push_back(remote<wait_for>(on(rank), value));
    await([&] { return get(remote<waiting_here>(on(rank))) == before + waiting_at_once; },
          "10,000 tasks waiting at once");
    cancel(gate);
    long sum = 0;
    for (const long one : get(tasks)) sum += one;
    check_equal(sum, static_cast<long>(waiting_at_once), "the sum of tasks that waited");
}

/// Submits the next one and is over: nothing of it may be kept by those that follow.
std::atomic<bool> chain_ended{false};
void link(int left) {
    if (left == 0) {
        chain_ended = true;
        return;
    }
    static_cast<void>(remote<link>(left - 1));
}
void endless_chain() {
    static_cast<void>(remote<link>(on(0), 300'000));
    await([] { return chain_ended.load(); }, "the end of a chain of tasks");
}

int driver(Job& job) {
    check_equal(get(remote<fib>(18)), 2584L, "fib(18)");
    check_equal(get(remote<fib_spread>(14)), 377L, "fib(14) over the ranks");
    check_equal(get(remote<deep>(on(job.ranks - 1), 500)), 500, "a recursion over the ranks");
    check_equal(get(remote<deep_here>(2000)), 2000, "a deep recursion");
    if (job.ranks == 1) endless_chain();
    many_wait(0);
    many_wait(job.ranks - 1);
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        auto root = spawn<Node>({.placement = Placement::on_rank(rank)}, 5);
        check_equal(get(root.call<&Node::count>()), 63, "the nodes of a tree of actors");
        check_equal(get(root.call<&Node::mixed>(4)), 5, "actors and tasks, one inside the other");
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
