// SPDX-License-Identifier: Apache-2.0
// Goal: at a limit the caller is slowed down; nothing is lost and nothing is refused. Method: the
// limit of pending tasks is set to 2000, and far more are submitted, from the driver, from tasks
// and to an actor, while the number of those that have not run is watched.
#include <algorithm>
#include <atomic>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

constexpr long limit = 2000;    // --mobula-pending-max of this test
constexpr long inexact = 1000;  // threads count for themselves

std::atomic<long> ran{0};
int note(int n) {
    ++ran;
    return n;
}
struct Counter {
    long calls = 0;
    void add() { ++calls; }
    long sum() const { return calls; }
};
long submit_many(int count) {
    std::vector<Ref<int>> refs;
    for (int i = 0; i < count; ++i) refs.push_back(remote<note>(on(mobula::rank()), i));
    long sum = 0;
    for (const int n : get(refs)) sum += n;
    return sum;
}

void from_the_driver() {
    constexpr int count = 50'000;
    long most_ahead = 0;
    std::vector<Ref<int>> refs;
    for (int i = 0; i < count; ++i) {
        refs.push_back(remote<note>(on(0), i));
        most_ahead = std::max(most_ahead, i + 1 - ran.load());
    }
    long sum = 0;
    for (const int n : get(refs)) sum += n;
    check_equal(sum, long{count} * (count - 1) / 2, "the sum of what the driver submitted");
    check(most_ahead <= limit + inexact,
          "the driver was " + std::to_string(most_ahead) + " tasks ahead of those that ran");
}

void from_tasks() {
    std::vector<Ref<long>> submitters;
    for (unsigned i = 0; i < 2 * ranks(); ++i) {
        submitters.push_back(remote<submit_many>(on(i % ranks()), 20'000));
    }
    for (const long sum : get(submitters)) {
        check_equal(sum, 20'000L * 19'999 / 2, "the sum of what a task submitted");
    }
}

void to_an_actor(unsigned rank) {
    const auto counter = spawn<Counter>({.placement = Placement::on_rank(rank)});
    for (int i = 0; i < 30'000; ++i) counter.call<&Counter::add>();
    check_equal(get(counter.call<&Counter::sum>()), 30'000L, "the calls that an actor got");
}

int driver(Job& job) {
    from_the_driver();
    from_tasks();
    for (unsigned rank = 0; rank < job.ranks; ++rank) to_an_actor(rank);
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
