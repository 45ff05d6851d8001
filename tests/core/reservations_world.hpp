// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <mobula/error.hpp>

#include "core/reservations.hpp"

namespace mobula::core::testing {

using scheduler::Amounts;

struct GroupPlan {
    std::size_t maker;
    std::vector<PlacedBundle> bundles;
    bool may_end_early = false;  // else it ends after it was complete
};
struct TaskPlan {
    std::size_t rank;
    Amounts demand;
    bool waits = false;     // after it began, lending its CPUs
    bool gives_up = false;  // may be cancelled while it waits
    int group = -1;         // whose bundle 0 it runs in
};
struct Plan {
    std::vector<Amounts> ranks;
    std::vector<GroupPlan> groups;
    std::vector<TaskPlan> tasks;
};

/// The cores of a few ranks, whose messages are really delivered, and what uses them. Each step
/// says in broken() what it found wrong. A value.
class World {
public:
    explicit World(const Plan& plan)
        : plan_(&plan),
          channels_(plan.ranks.size() * plan.ranks.size()),
          unsent_(plan.ranks.size()),
          groups_(plan.groups.size()),
          tasks_(plan.tasks.size()) {
        for (std::size_t i = 0; i < plan.ranks.size(); ++i) {
            const auto count = static_cast<unsigned>(plan.ranks[i].gpus() / Amounts::one);
            std::vector<unsigned> numbers;
            for (unsigned gpu = 0; gpu < count; ++gpu) numbers.push_back(10 + gpu);
            cores_.emplace_back(static_cast<Rank>(i), plan.ranks[i], numbers);
        }
    }

    [[nodiscard]] const std::string& broken() const { return broken_; }

    /// Every step that may come next is given to `go` as a function that changes a World.
    template <class Go>
    void for_each_step(Go&& go) const {
        for (std::size_t i = 0; i < groups_.size(); ++i) {
            const auto state = groups_[i].state;
            if (state == GroupState::to_come) go([i](World& world) { world.create(i); });
            if (state == GroupState::complete ||
                (state == GroupState::asked && plan_->groups[i].may_end_early)) {
                go([i](World& world) { world.remove(i); });
            }
        }
        for (std::size_t i = 0; i < tasks_.size(); ++i) {
            const TaskState state = tasks_[i].state;
            if (state == TaskState::over) continue;
            if (state != TaskState::waiting) {
                go([i](World& world) { world.go_on(i); });
            } else if (plan_->tasks[i].gives_up) {
                go([i](World& world) { world.give_up(i); });
            }
        }
        for (std::size_t rank = 0; rank < cores_.size(); ++rank) {
            for (std::size_t batch = 0; batch < unsent_[rank].size(); ++batch) {
                go([rank, batch](World& world) { world.send(rank, batch); });
            }
        }
        for (std::size_t channel = 0; channel < channels_.size(); ++channel) {
            if (channels_[channel].empty()) continue;
            go([channel](World& world) { world.deliver(channel); });
        }
    }

    /// To be called when no step is left.
    void check_end() {
        for (const auto& group : groups_) {
            if (group.state != GroupState::gone) found("a group waits for ever");
        }
        for (const auto& task : tasks_) {
            if (task.state != TaskState::over) found("a task waits for ever");
        }
        for (const Reservations& core : cores_) {
            const bool empty = core.waiting().empty() && core.held().empty() &&
                               core.bundles().empty() && core.requests().empty() &&
                               core.groups().empty();
            if (!empty || !core.own().idle()) found("something is held after the end");
            if (core.cpus_for_usual()) found("CPUs are kept from usual tasks after the end");
        }
    }

    /// Equal names, equal futures: what is counted only, as the names of claims, is left out.
    [[nodiscard]] std::string name() const {
        std::string text;
        const auto put = [&](std::uint64_t number) { (text += std::to_string(number)) += ','; };
        for (const auto& group : groups_) {
            put(static_cast<std::uint64_t>(group.state));
            put(group.id);
        }
        for (const auto& task : tasks_) put(static_cast<std::uint64_t>(task.state));
        for (const Reservations& core : cores_) put_core(core, text);
        const auto put_messages = [&](const auto& messages) {
            for (const Message& message : messages) {
                put(static_cast<std::uint64_t>(message.kind));
                put(index(message.to));
                put(message.group);
            }
            text += '|';
        };
        for (const auto& batches : unsent_) {
            for (const auto& batch : batches) put_messages(batch);
            text += '/';
        }
        for (const auto& channel : channels_) put_messages(channel);
        return text;
    }

private:
    using Effects = Reservations::Effects;
    using Message = Effects::Message;
    enum class GroupState : std::uint8_t { to_come, asked, complete, gone };
    enum class TaskState : std::uint8_t { to_come, waiting, granted, runs, lends, back, over };
    struct GroupNow {
        GroupState state = GroupState::to_come;
        GroupId id = 0;
    };
    struct TaskNow {
        TaskState state = TaskState::to_come;
        Reservations::Claim claim{};
    };

    static void put_core(const Reservations& core, std::string& text) {
        const auto put = [&](std::uint64_t number) { (text += std::to_string(number)) += ','; };
        text += 'w';
        for (const auto& [claim, waiter] : core.waiting()) put(waiter.demand.token);
        text += 'h';
        for (const auto& [claim, held] : core.held()) {
            put(held.demand.token);
            for (const unsigned gpu : held.gpus) put(gpu);
            const auto& key = held.demand.bundle;
            put(key && !core.bundles().contains(*key) ? 1 : 0);
        }
        text += 'b';
        for (const auto& [key, bundle] : core.bundles()) {
            put(key.group);
            put(key.bundle);
            for (const unsigned gpu : bundle.gpus) put(gpu);
        }
        text += 'r';
        for (const auto& request : core.requests()) put(request.group);
        text += 'g';
        for (const auto& [id, group] : core.groups()) put(group.held);
    }

    /// The first counts, what follows from it does not.
    void found(const char* sentence) {
        if (broken_.empty()) broken_ = sentence;
    }

    // ---- steps ----

    void create(std::size_t i) {
        const GroupPlan& plan = plan_->groups[i];
        Effects effects;
        GroupNow& group = groups_[i];
        group.state = GroupState::asked;
        group.id = cores_[plan.maker].create(plan.bundles, {}, effects);
        apply(plan.maker, effects);
    }
    void remove(std::size_t i) {
        Effects effects;
        GroupNow& group = groups_[i];
        const std::size_t maker = plan_->groups[i].maker;
        const bool incomplete = cores_[maker].remove(group.id, effects);
        if (incomplete != (group.state == GroupState::asked)) {
            found("the end of a group says wrongly whether it was complete");
        }
        group.state = GroupState::gone;
        check_freed(cores_[maker], group.id);
        apply(maker, effects);
    }
    void give_up(std::size_t i) {
        Effects effects;
        Reservations& core = cores_[plan_->tasks[i].rank];
        core.withdraw(tasks_[i].claim);
        core.settle(effects);
        tasks_[i].state = TaskState::over;
        apply(plan_->tasks[i].rank, effects);
    }
    void go_on(std::size_t i) {
        const TaskPlan& plan = plan_->tasks[i];
        Reservations& core = cores_[plan.rank];
        TaskNow& task = tasks_[i];
        Effects effects;
        if (task.state == TaskState::to_come) {
            take(i);
        } else if (task.state == TaskState::granted) {
            core.begin(task.claim);
            task.state = TaskState::runs;
        } else if (task.state == TaskState::runs && plan.waits) {
            core.set_lends(task.claim, true);
            core.settle(effects);
            task.state = TaskState::lends;
        } else if (task.state == TaskState::lends) {
            core.set_lends(task.claim, false);
            task.state = TaskState::back;
        } else {
            core.release(task.claim, effects);
            task.state = TaskState::over;
        }
        apply(plan.rank, effects);
    }
    void take(std::size_t i) {
        const TaskPlan& plan = plan_->tasks[i];
        Reservations::Demand demand{i, plan.demand};
        const bool in_bundle = plan.group >= 0;
        if (in_bundle) {
            demand.bundle = BundleKey{groups_[static_cast<std::size_t>(plan.group)].id, 0};
        }
        try {
            const auto taken = cores_[plan.rank].take(demand);
            tasks_[i].claim = taken.claim;
            tasks_[i].state = taken.granted ? TaskState::granted : TaskState::waiting;
        } catch (const Infeasible&) {
            if (!in_bundle) found("a demand for what the rank has was refused");
            tasks_[i].state = TaskState::over;
        }
    }
    void send(std::size_t rank, std::size_t batch) {
        auto& batches = unsent_[rank];
        for (Message& message : batches[batch]) {
            channels_[rank * cores_.size() + index(message.to)].push_back(std::move(message));
        }
        batches.erase(batches.begin() + static_cast<std::ptrdiff_t>(batch));
    }
    void deliver(std::size_t channel) {
        const Message message = std::move(channels_[channel].front());
        channels_[channel].pop_front();
        const auto from = static_cast<Rank>(channel / cores_.size());
        const std::size_t to = channel % cores_.size();
        Effects effects;
        try {
            switch (message.kind) {
                case Message::Kind::hold:
                    cores_[to].on_hold(from, {from, message.group, message.bundles}, effects);
                    break;
                case Message::Kind::held:
                    cores_[to].on_held(from, message.group, {}, effects);
                    break;
                case Message::Kind::free:
                    cores_[to].on_free(from, message.group, effects);
                    check_freed(cores_[to], message.group);
                    break;
            }
        } catch (const Error& error) {
            found(error.what());
        }
        apply(to, effects);
    }

    void apply(std::size_t rank, Effects& effects) {
        for (const Effects::Ready& ready : effects.ready) {
            TaskNow& task = tasks_[ready.token];
            if (task.state != TaskState::waiting) found("what does not wait was served");
            task.state = ready.granted ? TaskState::granted : TaskState::over;
        }
        for (const GroupId id : effects.complete) {
            for (GroupNow& group : groups_) {
                if (group.id != id) continue;
                if (group.state != GroupState::asked) found("a group was completed twice");
                group.state = GroupState::complete;
            }
        }
        if (!effects.messages.empty()) unsent_[rank].push_back(std::move(effects.messages));
        for (const Reservations& core : cores_) check_core(core);
        check_groups();
    }

    // ---- what must hold in each state ----

    void check_core(const Reservations& core) {
        Amounts own = core.own().free();
        std::map<BundleKey, Amounts> inside;
        std::map<unsigned, std::int64_t> of_gpu;
        const auto count_gpus = [&](const Amounts& amounts, const std::vector<unsigned>& numbers) {
            for (const unsigned gpu : numbers) {
                of_gpu[gpu] += std::min(amounts.gpus(), Amounts::one);
            }
        };
        for (const auto& [key, bundle] : core.bundles()) {
            own += bundle.amounts;
            inside[key] = bundle.ledger.free();
            count_gpus(bundle.amounts, bundle.gpus);
        }
        for (const auto& [claim, held] : core.held()) {
            Amounts amounts = held.demand.amounts;
            if (held.lends) amounts -= Amounts::of_cpus(amounts.cpus());
            if (!held.demand.bundle) {
                own += amounts;
                count_gpus(amounts, held.gpus);
            } else if (const auto at = inside.find(*held.demand.bundle); at != inside.end()) {
                at->second += amounts;
            }
        }
        if (!(own == core.own().total())) found("the rank's resources do not add up");
        for (const auto& [key, all] : inside) {
            if (!(all == core.bundles().at(key).amounts)) found("a bundle does not add up");
        }
        for (const auto& [gpu, part] : of_gpu) {
            if (part > Amounts::one) found("a GPU is held twice");
        }
        check_served(core);
        check_kept(core);
    }
    /// From usual tasks the CPUs of those are kept that have begun and lend nothing.
    void check_kept(const Reservations& core) {
        std::int64_t kept = 0;
        for (const auto& [claim, held] : core.held()) {
            if (held.begun && !held.lends) kept += held.demand.amounts.cpus();
        }
        const std::int64_t left =
            std::max<std::int64_t>(core.own().total().cpus() - kept, 0) / Amounts::one;
        const auto told = core.cpus_for_usual();
        if (told.has_value() != (kept > 0) || told.value_or(left) != left) {
            found("CPUs are wrongly kept from usual tasks");
        }
    }
    void check_freed(const Reservations& core, GroupId group) {
        const bool waits = std::any_of(core.requests().begin(), core.requests().end(),
                                       [&](const auto& request) { return request.group == group; });
        const auto first = core.bundles().lower_bound({group, 0});
        const bool holds = first != core.bundles().end() && first->first.group == group;
        if (waits || holds) found("a rank keeps something for a group that ended");
    }
    /// What waits has no room.
    void check_served(const Reservations& core) {
        for (const auto& [claim, waiter] : core.waiting()) {
            const auto& key = waiter.demand.bundle;
            const bool here = !key || core.bundles().contains(*key);
            const scheduler::Ledger& ledger =
                key && here ? core.bundles().at(*key).ledger : core.own();
            if (!here || ledger.has(waiter.demand.amounts)) found("a task waits for nothing");
        }
        for (const Reservations::Request& request : core.requests()) {
            scheduler::Ledger left = core.own();
            bool fits = true;
            for (const NumberedBundle& bundle : request.bundles) {
                fits = fits && left.try_acquire(bundle.amounts).has_value();
            }
            if (fits) found("a group waits for nothing");
        }
    }
    /// A complete group has all its bundles, one that is not has all of a rank or none.
    void check_groups() {
        for (std::size_t i = 0; i < groups_.size(); ++i) {
            std::map<Rank, std::set<bool>> reserved;
            const auto& bundles = plan_->groups[i].bundles;
            for (unsigned number = 0; number < bundles.size(); ++number) {
                const auto& there = cores_[index(bundles[number].rank)].bundles();
                const bool here = there.contains({groups_[i].id, number});
                reserved[bundles[number].rank].insert(here);
                if (!here && groups_[i].state == GroupState::complete) {
                    found("a complete group lacks a bundle");
                }
            }
            for (const auto& [rank, seen] : reserved) {
                if (seen.size() != 1) found("a rank reserved a part of what a group wants");
            }
        }
    }

    const Plan* plan_;
    std::vector<Reservations> cores_;
    std::vector<std::deque<Message>> channels_;              // [from * ranks + to]
    std::vector<std::vector<std::vector<Message>>> unsent_;  // by rank, an element per operation
    std::vector<GroupNow> groups_;
    std::vector<TaskNow> tasks_;
    std::string broken_;
};

}  // namespace mobula::core::testing
