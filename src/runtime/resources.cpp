// SPDX-License-Identifier: Apache-2.0
#include "runtime/resources.hpp"

#include <algorithm>
#include <string>

#include <mobula/error.hpp>

#include "runtime/engine.hpp"

namespace mobula::runtime {

using scheduler::Amounts;

ResourceGate::ResourceGate(Engine& engine, const std::vector<Peer>& peers)
    : engine_(engine),
      own_(peers[index(engine.self())].resources, peers[index(engine.self())].gpus),
      chosen_(peers.size()),
      turn_(index(engine.self())) {
    for (const Peer& peer : peers) totals_.push_back(peer.resources);
}

/// The ranks that the placement allows and that have what is asked when nothing runs there.
std::vector<Rank> ResourceGate::candidates(const TaskOptions& options, bool demands) const {
    using Kind = Placement::Kind;
    const Placement& placement = options.placement;
    const Amounts amounts = Amounts::of(options);
    std::vector<Rank> allowed, fitting;
    for (std::size_t i = 0; i < totals_.size(); ++i) {
        const auto rank = static_cast<Rank>(i);
        const bool named = placement.kind == Kind::rank ? i == placement.target
                           : placement.kind == Kind::node
                               ? index(engine_.network.node_of(rank)) == placement.target
                               : true;
        if (named) allowed.push_back(rank);
        if (named && (!demands || scheduler::fits(totals_[i], amounts))) fitting.push_back(rank);
    }
    if (!fitting.empty()) return fitting;
    if (!placement.hard && (placement.kind == Kind::rank || placement.kind == Kind::node)) {
        TaskOptions anywhere = options;
        anywhere.placement = {};
        return candidates(anywhere, demands);
    }
    if (allowed.empty()) {
        throw Infeasible("placement asks for " +
                         std::string(placement.kind == Kind::rank ? "rank " : "node ") +
                         std::to_string(placement.target) + ", and the job has " +
                         (placement.kind == Kind::rank
                              ? std::to_string(totals_.size()) + " ranks"
                              : std::to_string(detail::surroundings().nodes) + " nodes"));
    }
    throw Infeasible(scheduler::infeasible(amounts, totals_, allowed).value_or("infeasible"));
}

/// The usual cases, without a look at what ranks have: nothing that could be missing is asked for.
std::optional<Rank> ResourceGate::choose_without_demands(const Placement& placement) {
    using Kind = Placement::Kind;
    if (placement.kind == Kind::rank && placement.target < totals_.size()) {
        return static_cast<Rank>(placement.target);
    }
    if (placement.kind == Kind::pack) return engine_.self();
    if (placement.kind != Kind::spread) return std::nullopt;
    std::lock_guard guard(mutex_);
    return static_cast<Rank>(turn_++ % totals_.size());
}

void ResourceGate::check(const TaskOptions& options, bool demands) const {
    const Placement& placement = options.placement;
    const bool anywhere =
        placement.kind == Placement::Kind::automatic || placement.kind == Placement::Kind::spread ||
        placement.kind == Placement::Kind::pack ||
        (placement.kind == Placement::Kind::rank && placement.target < totals_.size());
    if (!demands && anywhere) return;
    if (options.placement.kind == Placement::Kind::bundle) {
        static_cast<void>(bundle_rank(options));
    } else {
        static_cast<void>(candidates(options, demands));
    }
}

static void check_fit(const Amounts& bundle, const Amounts& asked) {
    if (scheduler::fits(bundle, asked)) return;
    throw Infeasible("a task asks for " + scheduler::describe(asked) + " in a bundle of " +
                     scheduler::describe(bundle));
}

/// Where the bundle is that the placement names. What else there is to know of a group is known
/// where it was made, and to the bundle's rank once it is reserved.
Rank ResourceGate::bundle_rank(const TaskOptions& options) const {
    std::lock_guard guard(mutex_);
    const auto found = groups_.find(options.placement.group);
    if (found == groups_.end()) {
        const Placement& placement = options.placement;
        if (Groups::maker_of(placement.group) == engine_.self() ||
            placement.home >= totals_.size()) {
            throw Infeasible("the placement group is gone");
        }
        return static_cast<Rank>(placement.home);
    }
    const std::vector<PlacedBundle>& bundles = found->second;
    if (options.placement.target >= bundles.size()) {
        throw Infeasible("the placement group has no bundle " +
                         std::to_string(options.placement.target) + "; it has " +
                         std::to_string(bundles.size()));
    }
    const PlacedBundle& bundle = bundles[options.placement.target];
    check_fit(bundle.amounts, Amounts::of(options));
    return bundle.rank;
}

Rank ResourceGate::choose(const TaskOptions& options, bool demands) {
    using Kind = Placement::Kind;
    if (options.placement.kind == Kind::bundle) return bundle_rank(options);
    if (!demands) {
        if (const std::optional<Rank> rank = choose_without_demands(options.placement)) {
            return *rank;
        }
    }
    const std::vector<Rank> ranks = candidates(options, demands);
    std::lock_guard guard(mutex_);
    Rank best = ranks.front();
    if (options.placement.kind == Kind::spread) {
        best = ranks[turn_++ % ranks.size()];
    } else if (options.placement.kind == Kind::pack) {
        if (std::find(ranks.begin(), ranks.end(), engine_.self()) != ranks.end()) {
            best = engine_.self();
        }
    } else {
        best = *std::min_element(ranks.begin(), ranks.end(), [&](Rank a, Rank b) {
            return chosen_[index(a)] < chosen_[index(b)];
        });
    }
    ++chosen_[index(best)];
    return best;
}

Rank ResourceGate::choose_for_actor(const TaskOptions& options, bool demands) {
    TaskOptions turned = options;
    if (!demands && turned.placement.kind == Placement::Kind::automatic) {
        turned.placement = Placement::spread();
    }
    return choose(turned, demands);
}

/// Null when the bundle that it would be of is gone.
scheduler::Ledger* ResourceGate::find_ledger(const TaskOptions& options) noexcept {
    if (options.placement.kind != Placement::Kind::bundle) return &own_;
    const auto found = bundles_.find({options.placement.group, options.placement.target});
    return found == bundles_.end() ? nullptr : &found->second.ledger;
}

scheduler::Ledger& ResourceGate::ledger_of(const TaskOptions& options) {
    scheduler::Ledger* const ledger = find_ledger(options);
    if (ledger == nullptr) {
        throw Infeasible("the placement group is not ready() yet, or gone, or has no bundle " +
                         std::to_string(options.placement.target));
    }
    return *ledger;
}

bool ResourceGate::take(Task& task) {
    graph::TaskExtra& extra = *task.extra;
    std::lock_guard guard(mutex_);
    const Amounts asked = Amounts::of(extra.options);
    scheduler::Ledger& ledger = ledger_of(extra.options);
    if (&ledger != &own_) check_fit(ledger.total(), asked);
    auto gpus = ledger.try_acquire(asked);
    if (!gpus) {
        waiting_.push_back(&task);
        return false;
    }
    extra.gpus = std::move(*gpus);
    extra.holds = true;
    return true;
}

void ResourceGate::release(graph::TaskExtra& extra) {
    if (!extra.holds) return;
    extra.holds = false;
    {
        std::lock_guard guard(mutex_);
        if (scheduler::Ledger* const ledger = find_ledger(extra.options)) {
            ledger->release(Amounts::of(extra.options), extra.gpus);
        }
    }
    wake_waiting();
    engine_.groups.retry();
}

void ResourceGate::lend(const Task& task) {
    {
        std::lock_guard guard(mutex_);
        scheduler::Ledger* const ledger = find_ledger(task.extra->options);
        if (ledger == nullptr) return;
        ledger->lend_cpus(Amounts::of(task.extra->options));
    }
    wake_waiting();
}

void ResourceGate::take_back(const Task& task) {
    std::lock_guard guard(mutex_);
    if (scheduler::Ledger* const ledger = find_ledger(task.extra->options)) {
        ledger->take_back_cpus(Amounts::of(task.extra->options));
    }
}

void ResourceGate::wake_waiting() {
    std::vector<Task*> ready;
    {
        std::lock_guard guard(mutex_);
        for (auto at = waiting_.begin(); at != waiting_.end();) {
            graph::TaskExtra& extra = *(*at)->extra;
            std::optional<std::vector<unsigned>> gpus;
            try {
                gpus = ledger_of(extra.options).try_acquire(Amounts::of(extra.options));
            } catch (const Infeasible&) {
                (*at)->cancelled = true;  // its bundle is gone
                gpus.emplace();
            }
            if (!gpus) {
                ++at;
                continue;
            }
            extra.gpus = std::move(*gpus);
            extra.holds = !(*at)->cancelled;
            ready.push_back(*at);
            at = waiting_.erase(at);
        }
    }
    for (Task* task : ready) engine_.team.push(*task);
}

Amounts ResourceGate::free() const {
    std::lock_guard guard(mutex_);
    return own_.free();
}

bool ResourceGate::reserve(const BundleKey& key, const Amounts& amounts) {
    std::lock_guard guard(mutex_);
    auto gpus = own_.try_acquire(amounts);
    if (!gpus) return false;
    bundles_.emplace(key, Bundle{amounts, *gpus, scheduler::Ledger(amounts, *gpus)});
    return true;
}

void ResourceGate::unreserve(std::uint64_t group) {
    {
        std::lock_guard guard(mutex_);
        groups_.erase(group);
        for (auto at = bundles_.begin(); at != bundles_.end();) {
            if (at->first.group != group) {
                ++at;
                continue;
            }
            own_.release(at->second.amounts, at->second.gpus);
            at = bundles_.erase(at);
        }
    }
    wake_waiting();
}

void ResourceGate::place_group(std::uint64_t group, std::vector<PlacedBundle> bundles) {
    std::lock_guard guard(mutex_);
    groups_[group] = std::move(bundles);
}

unsigned ResourceGate::bundle_home(const BundleKey& key) const {
    std::lock_guard guard(mutex_);
    const auto found = groups_.find(key.group);
    if (found == groups_.end() || key.bundle >= found->second.size()) return 0;
    return static_cast<unsigned>(index(found->second[key.bundle].rank));
}

}  // namespace mobula::runtime
