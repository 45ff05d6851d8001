// SPDX-License-Identifier: Apache-2.0

/// Ray's task cases, under the names that Ray's own list has for them.

#include <deque>

#include "micro/cases.hpp"

namespace micro {
namespace {

using Refs = std::vector<mobula::Ref<std::uint16_t>>;

Refs submit(std::size_t count) {
    Refs refs;
    refs.reserve(count);
    for (std::size_t i = 0; i < count; ++i) refs.push_back(mobula::remote<small_value>());
    return refs;
}

/// Submits tasks of its own and waits for them.
struct Submitter {
    std::uint64_t batch(std::size_t count) {
        check_all_ok(submit(count));
        return count;
    }
};

/// Ray's loop: 1000 times a wait for one of those that are left.
void wait_for_each(std::size_t count) {
    Refs left = submit(count);
    for (std::size_t i = 0; i < count; ++i) {
        const mobula::Waited waited = mobula::wait(left, 1);
        check(!waited.done.empty(), "wait() returned without one that is done");
        check(mobula::get(left[waited.done.front()]) == ok, "a no-op returned something else");
        left.erase(left.begin() + static_cast<std::ptrdiff_t>(waited.done.front()));
    }
}

/// The same job as it is meant to be done here.
void take_as_completed(std::size_t count) {
    const Refs refs = submit(count);
    std::size_t seen = 0;
    for (const std::size_t i : mobula::as_completed(refs)) {
        check(mobula::get(refs[i]) == ok, "a no-op returned something else");
        ++seen;
    }
    check(seen == count, "as_completed() left some out");
}

void multi_client(benchmark::State& state) {
    const std::size_t tasks = sizes.client_tasks;
    std::vector<mobula::Actor<Submitter>> clients;
    for (int i = 0; i < 4; ++i) {
        clients.push_back(mobula::spawn<Submitter>({.placement = mobula::Placement::spread()}));
    }
    for (auto _ : state) {
        std::vector<mobula::Ref<std::uint64_t>> counts;
        for (const auto& client : clients) {
            counts.push_back(client.call<&Submitter::batch>(tasks));
        }
        for (const std::uint64_t count : mobula::get(counts)) {
            check(count == tasks, "a client did not run all its tasks");
        }
    }
}

}  // namespace

void add_task_cases() {
    add_step("single_client_tasks_and_get_batch", 1, [] { check_all_ok(submit(1000)); });
    add_step("single_client_wait_1k_refs", 1, [] { wait_for_each(1000); });
    add_step("single_client_as_completed_1k_refs", 1, [] { take_as_completed(1000); });
    add_step("single_client_tasks_sync", 1, [] {
        check(mobula::get(mobula::remote<small_value>()) == ok, "a no-op returned something else");
    });
    add_step("single_client_tasks_async", 1000, [] { check_all_ok(submit(1000)); });
    add("multi_client_tasks_async", static_cast<std::int64_t>(4 * sizes.client_tasks),
        multi_client);
    add_step("placement_group_create/removal", 100, [] {
        std::deque<mobula::PlacementGroup> groups;
        for (int i = 0; i < 100; ++i) {
            groups.emplace_back(std::vector<mobula::Resources>{{{"cpus", 0.001}}});
        }
        for (const mobula::PlacementGroup& group : groups) mobula::get(group.ready());
    });
}

}  // namespace micro
