// SPDX-License-Identifier: Apache-2.0
// Waits for Promises that nothing completes, in every way: the driver for a task that waits for
// many inputs, one of which is made by a task that waits for one; tasks for Refs that they have.
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;

int pass_on(int n) { return n; }
long count(const std::vector<int>& numbers) { return static_cast<long>(numbers.size()); }
int wait_for(Ref<int> ref) { return get(ref); }

struct Gate {
    Promise<int> promise;
    Ref<int> ref() const { return promise.ref(); }
};

int driver(Job& job) {
    const Promise<int> own;
    const auto gate = spawn<Gate>({.placement = Placement::on_rank(job.ranks - 1)});
    const Ref<int> far = get(gate.call<&Gate::ref>());
    const std::vector<Ref<int>> waiting{remote<wait_for>(own.ref()), remote<wait_for>(far)};
    const Ref<int> passed = remote<pass_on>(own.ref());
    get(remote<count>(std::vector{passed, far, far}));
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
