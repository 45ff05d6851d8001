// SPDX-License-Identifier: Apache-2.0
// Goal: who may not wait any more, because too many wait on its worker, fails with a sentence and
// leaves nothing behind. Method: the limit is set to 5, and tasks wait for tasks that wait, and so
// on, far deeper; what was left behind would be found by those that wait after them.
#include <string>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

constexpr int deep = 60;  // beyond --mobula-suspended-max=5 of each of two workers

int nest(unsigned rank, int depth) {
    return depth == 0 ? 0 : 1 + get(remote<nest>(on(rank), rank, depth - 1));
}
/// Has a deadline and waits for many.
int nest_wide(unsigned rank, int depth) {
    if (depth == 0) return 0;
    std::vector<Ref<int>> refs;
    for (int i = 0; i < 6; ++i) refs.push_back(remote<nest>(on(rank), rank, 0));
    refs.push_back(remote<nest_wide>(on(rank), rank, depth - 1));
    return 1 + get(refs, std::chrono::seconds(30)).back();
}
Generator<int> nest_stream(unsigned rank, int depth) {
    if (depth == 0) co_return;
    for (const Ref<int>& item : remote<nest_stream>(on(rank), rank, depth - 1)) {
        co_yield 1 + get(item);
    }
    co_yield 1;
}

void refused(unsigned rank) {
    const std::string text = thrown<TaskError>([&] { get(remote<nest>(on(rank), rank, deep)); },
                                               "a wait beyond the limit");
    check_contains(text, "MOBULA_SUSPENDED_MAX", "why a task cannot wait");
    thrown<TaskError>([&] { get(remote<nest_wide>(on(rank), rank, deep)); },
                      "a wait for many beyond the limit");
    thrown<TaskError>(
        [&] {
            for (const Ref<int>& item : remote<nest_stream>(on(rank), rank, deep)) get(item);
        },
        "a wait for an item beyond the limit");
}

/// Not as long as others that were in a refused one's tree still wait.
bool may_nest(unsigned rank) {
    try {
        return get(remote<nest>(on(rank), rank, 2)) == 2;
    } catch (const TaskError&) {
        return false;
    }
}

int driver(Job& job) {
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        for (int round = 0; round < 20; ++round) {
            refused(rank);
            await([&] { return may_nest(rank); }, "the end of all that was refused");
        }
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
