// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "core/reservations.hpp"
#include "graph/object.hpp"
#include "graph/task.hpp"
#include "runtime/network.hpp"
#include "runtime/stall.hpp"
#include "scheduler/choice.hpp"
#include "scheduler/resources.hpp"
#include "worker/team.hpp"

namespace mobula::runtime {

using detail::CellPtr;
using detail::Task;

/// The resources of this rank and the placement groups made here, which rank a demand is sent to,
/// and what waits. A rank alone counts what it has; others only know its total and what they have
/// sent there themselves. What is given to which demand or group is decided by core::Reservations
/// under one lock; after it tasks are queued, messages sent and objects completed. Thread-safe.
class ResourceGate {
public:
    /// `totals`: what each rank has in all; `gpus`: the numbers of this rank's.
    ResourceGate(Network& network, worker::Team& team,
                 const std::vector<scheduler::Amounts>& totals, std::vector<unsigned> gpus);

    /// Throws Infeasible, or BadInput, for what can never be.
    void check(const TaskOptions& options, bool demands) const;
    /// Throws, also Error, for demands of another rank's task that can never be met here.
    void check_arrival(const TaskOptions& options) const;
    /// The rank for a task with demands or a placement.
    [[nodiscard]] Rank choose(const TaskOptions& options, bool demands);
    /// The rank for an actor: as for a task, else the ranks take turns.
    [[nodiscard]] Rank choose_for_actor(const TaskOptions& options, bool demands);

    /// Takes what the task, which is ready on this rank, demands; false when it has to wait, which
    /// it does in here until it can be queued. Throws Infeasible.
    [[nodiscard]] bool take(Task& task);
    /// A task that holds what it demands begins: from now on its CPUs are kept from usual tasks,
    /// which ask for one CPU each and are not counted themselves.
    void begin(graph::TaskExtra& extra);
    /// Gives back what was taken; others that wait for it are queued.
    void release(graph::TaskExtra& extra);
    /// What the constructor took stays with its actor, which gives it back at its end.
    [[nodiscard]] std::unique_ptr<graph::TaskExtra> keep(Task& constructor);
    /// A waiting task lends its CPUs to others. When its bundle goes, what it held goes with it.
    void lend(graph::TaskExtra& extra);
    void take_back(graph::TaskExtra& extra);
    /// Both, without waking those that wait for CPUs: that is for wake_waiting(). To be called
    /// under locks.
    void set_lends(graph::TaskExtra& extra, bool lends);
    /// Queues those that wait and can go on: resources were given back, or tasks were cancelled.
    void wake_waiting();

    /// What each rank has in all.
    [[nodiscard]] std::vector<scheduler::Amounts> totals() const;
    [[nodiscard]] scheduler::Amounts free() const;

    // ---- placement groups ----

    /// Reserves the bundles rank after rank; `ready` is an object that is complete when that is
    /// done. Throws BadInput and Infeasible.
    [[nodiscard]] core::GroupId create_group(std::vector<scheduler::Amounts> bundles,
                                             Strategy strategy, CellPtr& ready);
    /// Gives its bundles back. Fails `ready` of one that is not complete.
    void remove_group(core::GroupId group);
    /// Where the bundle is or will be. Rank 0 where this rank knows of no such bundle.
    [[nodiscard]] unsigned bundle_home(const core::BundleKey& key) const;

    void on_hold(Rank from, const wire::HoldGroup& message, wire::RecordReader& tail);
    void on_held(Rank from, const wire::HeldGroup& message);
    void on_free(Rank from, const wire::FreeGroup& message);

    // ---- for the graph of who waits for whom ----

    /// Tasks, actors before they begin, and reservations that wait for resources of this rank.
    void list(std::vector<Waiting>& all) const;
    /// The group of this rank of which the object says that it is ready, if it is one.
    [[nodiscard]] std::optional<Waiting::Target> target_of(const graph::Object& ready) const;

private:
    using Reservations = core::Reservations;
    /// What was decided under the lock and is to be done after it.
    struct Decided {
        Reservations::Effects effects;
        std::vector<Task*> cancelled;   ///< that wait no more
        std::vector<CellPtr> complete;  ///< of groups
    };
    struct Snapshot;

    template <class Change>
    void change(Change&& change);
    void withdraw_cancelled(Decided& decided);
    void act(Decided& decided);
    void send(const Reservations::Effects::Message& message);
    void allow_usual();

    [[nodiscard]] std::optional<Rank> choose_without_demands(const Placement& placement);
    [[nodiscard]] Rank bundle_rank(const TaskOptions& options) const;
    [[nodiscard]] bool possible(const Placement& placement, const scheduler::Amounts& demand) const;
    [[nodiscard]] Placement possible_placement(const Placement& placement,
                                               const scheduler::Amounts& demand) const;
    [[noreturn]] void refuse(const Placement& placement, const scheduler::Amounts& demand) const;

    [[nodiscard]] Snapshot copy() const;
    void list_usual(const Snapshot& seen, std::vector<Waiting>& all) const;

    Network& network_;
    worker::Team& team_;
    std::size_t nodes_ = 1;
    mutable std::mutex mutex_;  ///< guards what follows
    scheduler::Choice choice_;
    Reservations reservations_;  ///< a demand's token is the address of the task's extra
    std::map<core::GroupId, CellPtr> ready_;  ///< of the groups made here
    std::size_t turn_ = 0;
};

}  // namespace mobula::runtime
