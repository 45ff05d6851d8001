// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "graph/task.hpp"
#include "runtime/stall.hpp"
#include "scheduler/choice.hpp"
#include "scheduler/resources.hpp"

namespace mobula::runtime {

class Engine;
struct Peer;
using detail::Task;

/// The resources of this rank and who waits for them, and which rank a demand is sent to. A rank
/// alone counts what it has; others only know its total and what they have sent there themselves.
/// Thread-safe.
class ResourceGate {
public:
    ResourceGate(Engine& engine, const std::vector<Peer>& peers);

    /// Throws Infeasible, or BadInput, for what can never be.
    void check(const TaskOptions& options, bool demands) const;
    /// Throws, also Error, for demands of another rank's task that can never be met here.
    void check_arrival(const TaskOptions& options) const;
    /// The rank for a task with demands or a placement.
    [[nodiscard]] Rank choose(const TaskOptions& options, bool demands);
    /// The rank for an actor: as for a task, else the ranks take turns.
    [[nodiscard]] Rank choose_for_actor(const TaskOptions& options, bool demands);

    /// Takes what the task, which is ready on this rank, demands; false when it has to wait, which
    /// it does in here until it can be queued.
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
    /// Both, without telling those that wait for CPUs: that is for wake_waiting_and_groups(). To be
    /// called under locks.
    void set_lends(graph::TaskExtra& extra, bool lends);
    void wake_waiting_and_groups();
    /// Queues those that wait and can go on: resources were given back, or tasks were cancelled.
    void wake_waiting();

    /// What each rank has in all.
    [[nodiscard]] std::vector<scheduler::Amounts> totals() const;
    [[nodiscard]] scheduler::Amounts free() const;

    // Placement groups reserve parts of a rank as bundles with a ledger of their own.
    struct BundleKey {
        std::uint64_t group;
        unsigned bundle;
        auto operator<=>(const BundleKey&) const = default;
    };
    struct NumberedBundle {
        unsigned number;
        scheduler::Amounts amounts;
    };
    /// Whether some are reserved on this rank.
    [[nodiscard]] bool has_bundles(std::uint64_t group) const;
    /// All of them or none.
    [[nodiscard]] bool reserve(std::uint64_t group, const std::vector<NumberedBundle>& bundles);
    void unreserve(std::uint64_t group);
    /// Where the bundles of a group are; known where the group was made.
    struct PlacedBundle {
        Rank rank;
        scheduler::Amounts amounts;
    };
    void place_group(std::uint64_t group, std::vector<PlacedBundle> bundles);
    /// Rank 0 where this rank knows of no such bundle.
    [[nodiscard]] unsigned bundle_home(const BundleKey& key) const;

    // For the graph of who waits for whom.
    /// Tasks, and actors before they begin, that wait for resources of this rank.
    void list(std::vector<Waiting>& all) const;
    /// Says of one that wants to reserve so much of this rank what there is and who has the rest.
    void explain(const scheduler::Amounts& demand, Waiting& waiting) const;

private:
    struct Bundle {
        scheduler::Amounts amounts;
        std::vector<unsigned> gpus;
        scheduler::Ledger ledger;
        std::uint64_t serial;  ///< tells it from one of the same name that was there before
    };
    struct Waiter {
        Task* task;
        Time since;
    };

    [[nodiscard]] std::optional<Rank> choose_without_demands(const Placement& placement);
    [[nodiscard]] Rank bundle_rank(const TaskOptions& options) const;
    [[nodiscard]] const scheduler::Ledger* find_ledger(const TaskOptions& options) const noexcept;
    [[nodiscard]] scheduler::Ledger* find_ledger(const TaskOptions& options) noexcept;
    [[nodiscard]] scheduler::Ledger* ledger_held_by(const graph::TaskExtra& extra) noexcept;
    [[nodiscard]] scheduler::Ledger& ledger_of(const TaskOptions& options);
    [[nodiscard]] bool possible(const Placement& placement, const scheduler::Amounts& demand) const;
    [[nodiscard]] Placement possible_placement(const Placement& placement,
                                               const scheduler::Amounts& demand) const;
    [[noreturn]] void refuse(const Placement& placement, const scheduler::Amounts& demand) const;
    void hold(Task& task, std::vector<unsigned> gpus);
    void keep_from_usual(std::int64_t cpus);
    void let_go(graph::TaskExtra& extra);
    void explain_locked(const TaskOptions& options, const scheduler::Amounts& demand,
                        Waiting& waiting) const;

    Engine& engine_;
    mutable std::mutex mutex_;
    scheduler::Choice choice_;
    scheduler::Ledger own_;
    std::map<BundleKey, Bundle> bundles_;
    std::uint64_t next_serial_ = 1;  ///< of a bundle
    std::map<std::uint64_t, std::vector<PlacedBundle>> groups_;
    std::deque<Waiter> waiting_;
    graph::TaskExtra* holders_ = nullptr;
    std::int64_t kept_cpus_ = 0;  ///< in steps, from usual tasks
    std::size_t turn_ = 0;
};

}  // namespace mobula::runtime
