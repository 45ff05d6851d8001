// SPDX-License-Identifier: Apache-2.0

/// What waits for resources, for the graph of who waits for whom: copied under the lock, described
/// after it.

#include <chrono>
#include <string>
#include <utility>

#include "base/clock.hpp"
#include "runtime/resources.hpp"
#include "runtime/task_mark.hpp"

namespace mobula::runtime {

using core::GroupId;
using scheduler::Amounts;

namespace {

/// Of the usual tasks in a queue that wait for a CPU, so many are told.
constexpr std::size_t listed_usual_max = 16;
/// Of so many that have what one waits for, the first are told.
constexpr std::size_t listed_holders_max = 64;

std::string key_of(GroupId group) { return "group " + std::to_string(group); }

std::string name_of(GroupId group) {
    const std::uint64_t maker = index(core::maker_of(group));
    return "placement group " + std::to_string(group - (maker << core::group_number_bits)) +
           " of rank " + std::to_string(maker);
}

/// What stands behind a claim: a task, or an actor that lives.
struct Claimant {
    bool is_task;
    TaskMark task;
    std::string name = {};                           ///< of the actor, if it has one
    const detail::FunctionInfo* function = nullptr;  ///< its constructor

    Claimant(const graph::TaskExtra& extra, Rank self) : is_task(extra.holder != nullptr) {
        if (is_task) {
            task = TaskMark(*extra.holder, self);
        } else {
            name = extra.options.name;
            function = extra.function;
        }
    }

    [[nodiscard]] Waiting::Target target() const {
        if (is_task) return {task.key(), task.title()};
        return {{}, "actor " + (name.empty() ? function->name() : name)};
    }
};

}  // namespace

struct ResourceGate::Snapshot {
    Rank self;
    Reservations state;
    std::map<Reservations::Claim, Claimant> claimants = {};

    void explain(const Amounts& demand, const std::optional<core::BundleKey>& bundle,
                 Waiting& waiting) const;
};

ResourceGate::Snapshot ResourceGate::copy() const {
    std::lock_guard guard(mutex_);
    Snapshot seen{network_.self(), reservations_};
    for (const auto* const claims : {&reservations_.waiting(), &reservations_.held()}) {
        for (const auto& [claim, claimed] : *claims) {
            const auto* const extra = reinterpret_cast<const graph::TaskExtra*>(
                static_cast<std::uintptr_t>(claimed.demand.token));
            seen.claimants.emplace(claim, Claimant(*extra, seen.self));
        }
    }
    return seen;
}

/// Says of one that wants so much what there is and who has the rest.
void ResourceGate::Snapshot::explain(const Amounts& demand,
                                     const std::optional<core::BundleKey>& bundle,
                                     Waiting& waiting) const {
    const auto lack = state.lack(demand, bundle, listed_holders_max);
    if (!lack) return;  // its bundle is gone, and it will hear of that
    waiting.rank = static_cast<unsigned>(index(self));
    waiting.state = "needs " + scheduler::describe(demand) +
                    " (free: " + scheduler::describe(lack->free) + ") and waits";
    for (const Reservations::Claim holder : lack->holders) {
        waiting.targets.push_back(claimants.at(holder).target());
    }
    for (const GroupId group : lack->groups) {
        waiting.targets.push_back({key_of(group), name_of(group)});
    }
    waiting.any = waiting.targets.size() > 1;
}

void ResourceGate::list(std::vector<Waiting>& all) const {
    const Snapshot seen = copy();
    const Time now = Clock::now();
    const auto seconds = [&](Time since) {
        return std::chrono::duration<double>(now - since).count();
    };
    for (const auto& [claim, claimed] : seen.state.waiting()) {
        Waiting& one = all.emplace_back();
        const Waiting::Target waits = seen.claimants.at(claim).target();
        one.key = waits.key;
        one.name = waits.name;
        one.seconds = seconds(claimed.demand.since);
        seen.explain(claimed.demand.amounts, claimed.demand.bundle, one);
    }
    list_usual(seen, all);
    for (const Reservations::Request& request : seen.state.requests()) {
        Waiting& one = all.emplace_back();
        one.key = key_of(request.group);
        one.name = name_of(request.group);
        one.seconds = seconds(request.since);
        Amounts all_of_it;
        for (const auto& bundle : request.bundles) all_of_it += bundle.amounts;
        seen.explain(all_of_it, std::nullopt, one);
    }
}

/// The usual tasks, where no CPU is left for them.
void ResourceGate::list_usual(const Snapshot& seen, std::vector<Waiting>& all) const {
    if (team_.workers_for_usual() != 0) return;
    std::vector<TaskMark> usual;
    usual.reserve(listed_usual_max);  // the queues are locked while they are looked through
    team_.list_usual(listed_usual_max, [&](const Task& task) {
        if (usual.size() < listed_usual_max) usual.emplace_back(task, network_.self());
    });
    for (const TaskMark& mark : usual) {
        Waiting& one = all.emplace_back();
        one.key = mark.key();
        one.name = mark.title();
        seen.explain(Amounts::of_cpus(Amounts::one), std::nullopt, one);
    }
}

std::optional<Waiting::Target> ResourceGate::target_of(const graph::Object& ready) const {
    GroupId group = 0;
    {
        std::lock_guard guard(mutex_);
        auto found = ready_.begin();
        while (found != ready_.end() && found->second.get() != &ready) ++found;
        if (found == ready_.end()) return std::nullopt;
        group = found->first;
    }
    return Waiting::Target{key_of(group), name_of(group)};
}

}  // namespace mobula::runtime
