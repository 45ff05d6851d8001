// SPDX-License-Identifier: Apache-2.0
#include "runtime/resources.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include <mobula/archive.hpp>
#include <mobula/error.hpp>

#include "base/clock.hpp"
#include "scheduler/bundles.hpp"

namespace mobula::runtime {

using core::GroupId;
using scheduler::Amounts;
using Claim = core::Reservations::Claim;
using Message = core::Reservations::Effects::Message;

namespace {

/// The search for a layout goes one call deeper with each bundle, on the stack of the caller.
constexpr std::size_t bundles_max = 10'000;
/// So many are listed in a sentence.
constexpr std::size_t described_bundles_max = 8;

std::string listed(const std::vector<Amounts>& all, const char* between) {
    std::string text;
    for (std::size_t i = 0; i < std::min(all.size(), described_bundles_max); ++i) {
        text += (i == 0 ? "" : between) + scheduler::describe(all[i]);
    }
    if (all.size() > described_bundles_max) {
        text += between + std::to_string(all.size() - described_bundles_max) + " more";
    }
    return text;
}

graph::TaskExtra& extra_at(std::uint64_t token) {
    return *reinterpret_cast<graph::TaskExtra*>(static_cast<std::uintptr_t>(token));
}

core::Reservations::Demand demand_of(const graph::TaskExtra& extra) {
    const Placement& placement = extra.options.placement;
    core::Reservations::Demand demand{reinterpret_cast<std::uintptr_t>(&extra),
                                      Amounts::of(extra.options), std::nullopt, Clock::now()};
    if (placement.kind == Placement::Kind::bundle) {
        demand.bundle = core::BundleKey{placement.group, placement.target};
    }
    return demand;
}

}  // namespace

ResourceGate::ResourceGate(Network& network, worker::Team& team, const std::vector<Amounts>& totals,
                           std::vector<unsigned> gpus)
    : network_(network),
      team_(team),
      reservations_(network.self(), totals[index(network.self())], std::move(gpus)),
      turn_(index(network.self())) {
    for (std::size_t i = 0; i < totals.size(); ++i) {
        const Node node = network.node_of(static_cast<Rank>(i));
        choice_.join(totals[i], node);
        nodes_ = std::max(nodes_, index(node) + 1);
    }
}

// ---- decided under the lock, done after it ----

template <class Change>
void ResourceGate::change(Change&& change) {
    Decided decided;
    {
        std::lock_guard guard(mutex_);
        change(decided);
        // Taken here: remove_group() leaves an object to this thread when its group is complete.
        for (const GroupId group : decided.effects.complete) {
            decided.complete.push_back(ready_.at(group));
        }
    }
    act(decided);
}

/// What is cancelled takes nothing, and is over as soon as a worker sees it. The lock is held.
void ResourceGate::withdraw_cancelled(Decided& decided) {
    std::vector<Claim> over;
    for (const auto& [claim, waiter] : reservations_.waiting()) {
        Task& task = *extra_at(waiter.demand.token).holder;
        if (!graph::is_cancelled(task)) continue;
        decided.cancelled.push_back(&task);
        over.push_back(claim);
    }
    for (const Claim claim : over) reservations_.withdraw(claim);
}

void ResourceGate::act(Decided& decided) {
    for (Task* const task : decided.cancelled) team_.push(*task);
    for (auto& ready : decided.effects.ready) {
        graph::TaskExtra& extra = extra_at(ready.token);
        Task& task = *extra.holder;
        extra.holds = ready.granted;
        extra.gpus = std::move(ready.gpus);
        if (!ready.granted) task.cancelled = true;  // its bundle is gone
        team_.push(task);
    }
    for (const Message& message : decided.effects.messages) send(message);
    for (const CellPtr& ready : decided.complete) {
        graph::Object& object = graph::Object::of(*ready);
        new (graph::make_place(object, detail::type_info<detail::Nothing>)) detail::Nothing;
        graph::complete(object);
    }
}

void ResourceGate::send(const Message& message) {
    if (message.kind == Message::Kind::held) {
        return network_.send(message.to, wire::HeldGroup{message.group});
    }
    if (message.kind == Message::Kind::free) {
        return network_.send(message.to, wire::FreeGroup{message.group});
    }
    wire::Written record(wire::HoldGroup{message.group});
    record.put(static_cast<std::uint32_t>(message.bundles.size()));
    for (const core::NumberedBundle& bundle : message.bundles) {
        record.put(bundle.number);
        bundle.amounts.encode(record);
    }
    network_.send(message.to, record);
}

/// The lock is held, so that the last of several changes is told last.
void ResourceGate::allow_usual() {
    const unsigned workers = team_.workers();
    const auto left = reservations_.cpus_for_usual();
    team_.allow_usual(left ? static_cast<unsigned>(std::min<std::int64_t>(*left, workers))
                           : workers);
}

// ---- demands ----

void ResourceGate::check_arrival(const TaskOptions& options) const {
    const Amounts asked = Amounts::of(options);
    if (options.placement.kind == Placement::Kind::bundle) return;  // take() knows the bundle
    if (!scheduler::fits(reservations_.own().total(), asked)) {
        throw Error("a record asks for " + scheduler::describe(asked) +
                    ", which this rank never has");
    }
}

bool ResourceGate::take(Task& task) {
    graph::TaskExtra& extra = *task.extra;
    std::lock_guard guard(mutex_);
    // It takes nothing, and what cancelled it has looked through those that wait before.
    if (graph::is_cancelled(task)) return true;
    extra.holder = &task;
    extra.function = task.info;
    Reservations::Taken taken = reservations_.take(demand_of(extra));
    extra.claim = static_cast<std::uint64_t>(taken.claim);
    if (!taken.granted) return false;
    extra.holds = true;
    extra.gpus = std::move(taken.gpus);
    return true;
}

std::unique_ptr<graph::TaskExtra> ResourceGate::keep(Task& constructor) {
    std::lock_guard guard(mutex_);
    constructor.extra->holder = nullptr;
    return std::unique_ptr<graph::TaskExtra>(std::exchange(constructor.extra, nullptr));
}

void ResourceGate::begin(graph::TaskExtra& extra) {
    if (!extra.holds) return;
    std::lock_guard guard(mutex_);
    reservations_.begin(Claim{extra.claim});
    allow_usual();
}

void ResourceGate::release(graph::TaskExtra& extra) {
    if (!std::exchange(extra.holds, false)) return;
    change([&](Decided& decided) {
        withdraw_cancelled(decided);
        reservations_.release(Claim{extra.claim}, decided.effects);
        extra.lends = false;
        allow_usual();
    });
}

void ResourceGate::set_lends(graph::TaskExtra& extra, bool lends) {
    std::lock_guard guard(mutex_);
    extra.lends = lends;
    reservations_.set_lends(Claim{extra.claim}, lends);
    if (!lends) allow_usual();  // which wakes nothing
}

void ResourceGate::lend(graph::TaskExtra& extra) {
    set_lends(extra, true);
    wake_waiting();
}

void ResourceGate::take_back(graph::TaskExtra& extra) { set_lends(extra, false); }

void ResourceGate::wake_waiting() {
    change([&](Decided& decided) {
        withdraw_cancelled(decided);
        reservations_.settle(decided.effects);
        allow_usual();
    });
}

std::vector<Amounts> ResourceGate::totals() const {
    std::lock_guard guard(mutex_);
    return choice_.totals();
}

Amounts ResourceGate::free() const {
    std::lock_guard guard(mutex_);
    return reservations_.own().free();
}

// ---- placement groups ----

GroupId ResourceGate::create_group(std::vector<Amounts> bundles, Strategy strategy,
                                   CellPtr& ready) {
    if (bundles.empty()) throw BadInput("a placement group needs at least one bundle");
    if (bundles.size() > bundles_max) {
        throw BadInput("a placement group of " + std::to_string(bundles.size()) +
                       " bundles is not allowed; it has at most " + std::to_string(bundles_max));
    }
    const auto ranks = scheduler::place_bundles(bundles, totals(), strategy);
    if (!ranks) {
        throw Infeasible("the ranks can never hold a placement group of " + listed(bundles, " + ") +
                         " with this strategy; they have " + listed(totals(), " | "));
    }
    graph::Object* const cell = graph::new_object(2);
    cell->type = &detail::type_info<detail::Nothing>;
    ready = CellPtr(cell);
    std::vector<core::PlacedBundle> placed;
    for (std::size_t i = 0; i < bundles.size(); ++i) {
        placed.push_back({(*ranks)[i], std::move(bundles[i])});
    }
    GroupId id = 0;
    change([&](Decided& decided) {
        id = reservations_.create(std::move(placed), Clock::now(), decided.effects);
        ready_.emplace(id, CellPtr(cell));
    });
    return id;
}

void ResourceGate::remove_group(GroupId id) {
    CellPtr ready;
    bool incomplete = false;
    change([&](Decided& decided) {
        incomplete = reservations_.remove(id, decided.effects);
        const auto found = ready_.find(id);
        if (found == ready_.end()) return;
        ready = std::move(found->second);
        ready_.erase(found);
    });
    if (!incomplete) return;
    auto failure = std::make_shared<graph::Failure>();
    failure->kind = graph::FailureKind::cancelled;
    failure->rank = static_cast<std::uint32_t>(index(network_.self()));
    failure->message = "the placement group went before all its bundles were reserved";
    graph::fail(graph::Object::of(*ready), std::move(failure));
}

void ResourceGate::on_hold(Rank from, const wire::HoldGroup& message, wire::RecordReader& tail) {
    Reservations::Request request{from, message.group, {}, Clock::now()};
    for (std::uint32_t left = tail.count(sizeof(unsigned)); left > 0; --left) {
        const auto number = tail.get<unsigned>();
        request.bundles.push_back({number, Amounts::decode(tail)});
    }
    change([&](Decided& decided) {
        reservations_.on_hold(from, std::move(request), decided.effects);
    });
}

void ResourceGate::on_held(Rank from, const wire::HeldGroup& message) {
    change([&](Decided& decided) {
        reservations_.on_held(from, message.group, Clock::now(), decided.effects);
    });
}

void ResourceGate::on_free(Rank from, const wire::FreeGroup& message) {
    change([&](Decided& decided) { reservations_.on_free(from, message.group, decided.effects); });
}

}  // namespace mobula::runtime
