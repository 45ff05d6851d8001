// SPDX-License-Identifier: Apache-2.0
// Goal: a task that may run anywhere does not wait behind one that does not end, while a worker
// idles somewhere. Method: with one worker to a rank, something that ends only when it is cancelled
// takes the last rank's; then all tasks that may run anywhere must be over while it still runs,
// whichever rank made them and wherever they were first sent.
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

/// Keeps its worker from everything else, as a long computation does.
unsigned stay() {
    while (!mobula::cancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return mobula::rank();
}
unsigned where(int) { return mobula::rank(); }
Ref<unsigned> make_stay() { return remote<stay>(); }

struct Server {
    unsigned stay() { return ::stay(); }
};

/// Waits without giving its worker to others.
template <class Condition>
bool comes(Condition&& holds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!holds()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

constexpr int some = 60;

void all_get_on(const Ref<unsigned>& stays, const std::string& what) {
    std::vector<Ref<unsigned>> tasks;
    for (int i = 0; i < some; ++i) tasks.push_back(remote<where>(i));
    const auto [done, rest] = wait(tasks, tasks.size(), std::chrono::seconds(20));
    check_equal(rest.size(), 0U, "how many tasks waited behind " + what);
    check(!stays.done(), what + " ended by itself");
    for (const unsigned rank : get(tasks)) check(rank != ranks() - 1, "a rank ran two at once");
    cancel(stays);
    get(remote<where>(on(ranks() - 1), 0));  // its worker is free again
}

void behind_everything() {
    const TaskOptions far = on(ranks() - 1);
    all_get_on(remote<stay>(far), "a task that was placed");
    all_get_on(remote<stay>({.placement = Placement::on_rank(ranks() - 1, false)}),
               "a task with a wish");
    all_get_on(get(remote<make_stay>(far)), "a task of the rank's own");
    const Actor<Server> server = spawn<Server>({.placement = far.placement});
    get(server.ready());
    all_get_on(server.call<&Server::stay>(), "an actor's method");
}

/// A task that makes others, and goes on without giving way to them.
int make_and_go_on(int count) {
    std::vector<Ref<unsigned>> tasks;
    for (int i = 0; i < count; ++i) tasks.push_back(remote<where>(i));
    int done = 0;
    static_cast<void>(comes([&] {
        done = 0;
        for (const auto& task : tasks) done += task.done() ? 1 : 0;
        return done == count;
    }));
    return done;
}

/// Of any rank, whose own worker is busy: with few tasks it keeps them all, with many some go to
/// the rank that is stuck.
void made_by_the_busy() {
    const Ref<unsigned> stays = remote<stay>(on(ranks() - 1));
    for (unsigned maker = 0; maker + 1 < ranks(); ++maker) {
        for (const int count : {1, some}) {
            if (ranks() == 2 && maker == 0) continue;  // nobody idles
            check_equal(get(remote<make_and_go_on>(on(maker), count)), count,
                        "how many tasks of a busy rank got on");
        }
    }
    cancel(stays);
    const unsigned last = ranks() - 1;
    check_equal(get(remote<make_and_go_on>(on(last), 1)), 1, "how many tasks of the last rank");
}

Array<int> make_array() { return Array<int>({1'000'000}); }
unsigned where_with(const Array<int>&) { return mobula::rank(); }

/// Tasks stay where their large inputs are, but not for ever.
void near_their_bytes() {
    const TaskOptions far = on(ranks() - 1);
    const Ref<Array<int>> array = remote<make_array>(far);
    check_equal(get(remote<where_with>(array)), ranks() - 1, "where a task with large inputs runs");
    const Ref<unsigned> stays = remote<stay>(far);
    std::vector<Ref<unsigned>> tasks;
    for (int i = 0; i < 3; ++i) tasks.push_back(remote<where_with>(array));
    const auto [done, rest] = wait(tasks, tasks.size(), std::chrono::seconds(20));
    check_equal(rest.size(), 0U, "how many tasks stayed near their bytes for ever");
    cancel(stays);
}

int driver(Job&) {
    behind_everything();
    made_by_the_busy();
    near_their_bytes();
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
