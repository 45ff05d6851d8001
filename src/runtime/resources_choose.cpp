// SPDX-License-Identifier: Apache-2.0

/// Which rank a demand is sent to.

#include <string>
#include <utility>

#include <fmt/format.h>
#include <mobula/error.hpp>

#include "runtime/resources.hpp"

namespace mobula::runtime {

using scheduler::Amounts;

/// Whether a rank that the placement allows has what is asked when nothing runs there. The lock is
/// held.
bool ResourceGate::possible(const Placement& placement, const Amounts& demand) const {
    if (placement.kind == Placement::Kind::rank) {
        return placement.target < choice_.ranks() &&
               choice_.fits(static_cast<Rank>(placement.target), demand);
    }
    if (placement.kind == Placement::Kind::node) {
        return choice_.fits_on(static_cast<Node>(placement.target), demand);
    }
    return choice_.fits_anywhere(demand);
}

/// The placement, or any where it is only a wish that cannot come true. The lock is held.
Placement ResourceGate::possible_placement(const Placement& placement,
                                           const Amounts& demand) const {
    if (possible(placement, demand)) return placement;
    const bool named =
        placement.kind == Placement::Kind::rank || placement.kind == Placement::Kind::node;
    if (placement.hard || !named) refuse(placement, demand);
    if (!choice_.fits_anywhere(demand)) refuse({}, demand);
    return {};
}

/// The lock is held. Looks at all ranks for what to say.
void ResourceGate::refuse(const Placement& placement, const Amounts& demand) const {
    const bool of_rank = placement.kind == Placement::Kind::rank;
    const bool of_node = placement.kind == Placement::Kind::node;
    std::vector<Rank> allowed;
    if (of_node) {
        allowed = choice_.ranks_of(static_cast<Node>(placement.target));
    } else if (of_rank && placement.target < choice_.ranks()) {
        allowed = {static_cast<Rank>(placement.target)};
    }
    if (allowed.empty() && (of_rank || of_node)) {
        const std::size_t there = of_rank ? choice_.ranks() : nodes_;
        // A negative number became a large one on its way.
        throw Infeasible(fmt::format("placement asks for {} {}, and the job has {} {}{}",
                                     of_rank ? "rank" : "node", static_cast<int>(placement.target),
                                     there, of_rank ? "rank" : "node", there == 1 ? "" : "s"));
    }
    throw Infeasible(
        scheduler::infeasible(demand, choice_.totals(), allowed).value_or("infeasible"));
}

/// The usual cases, without a look at what ranks have: nothing that could be missing is asked for.
std::optional<Rank> ResourceGate::choose_without_demands(const Placement& placement) {
    using Kind = Placement::Kind;
    if (placement.kind == Kind::rank && placement.target < network_.ranks()) {
        return static_cast<Rank>(placement.target);
    }
    if (placement.kind == Kind::pack) return network_.self();
    if (placement.kind != Kind::spread) return std::nullopt;
    std::lock_guard guard(mutex_);
    return static_cast<Rank>(turn_++ % choice_.ranks());
}

void ResourceGate::check(const TaskOptions& options, bool demands) const {
    const Placement& placement = options.placement;
    const bool anywhere =
        placement.kind == Placement::Kind::automatic || placement.kind == Placement::Kind::spread ||
        placement.kind == Placement::Kind::pack ||
        (placement.kind == Placement::Kind::rank && placement.target < network_.ranks());
    if (!demands && anywhere) return;
    if (options.placement.kind == Placement::Kind::bundle) {
        static_cast<void>(bundle_rank(options));
    } else {
        const Amounts demand = demands ? Amounts::of(options) : Amounts{};
        std::lock_guard guard(mutex_);
        static_cast<void>(possible_placement(placement, demand));
    }
}

/// Where the bundle is that the placement names. What else there is to know of a group is known
/// where it was made, and to the bundle's rank once it is reserved.
Rank ResourceGate::bundle_rank(const TaskOptions& options) const {
    std::lock_guard guard(mutex_);
    const auto found = reservations_.groups().find(options.placement.group);
    if (found == reservations_.groups().end()) {
        const Placement& placement = options.placement;
        if (core::maker_of(placement.group) == network_.self() ||
            placement.home >= network_.ranks()) {
            throw Infeasible("the placement group is gone");
        }
        return static_cast<Rank>(placement.home);
    }
    const std::vector<core::PlacedBundle>& bundles = found->second.bundles;
    if (options.placement.target >= bundles.size()) {
        throw Infeasible("the placement group has no bundle " +
                         std::to_string(options.placement.target) + "; it has " +
                         std::to_string(bundles.size()));
    }
    const core::PlacedBundle& bundle = bundles[options.placement.target];
    core::check_fit(bundle.amounts, Amounts::of(options));
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
    const Amounts demand = demands ? Amounts::of(options) : Amounts{};
    std::lock_guard guard(mutex_);
    const Placement placement = possible_placement(options.placement, demand);
    switch (placement.kind) {
        case Kind::rank:
            choice_.chose(static_cast<Rank>(placement.target));
            return static_cast<Rank>(placement.target);
        case Kind::node: return choice_.least_on(static_cast<Node>(placement.target), demand);
        case Kind::spread: return choice_.in_turn(demand, turn_++);
        case Kind::pack:
            if (!choice_.fits(network_.self(), demand)) return choice_.first(demand);
            choice_.chose(network_.self());
            return network_.self();
        default: return choice_.least(demand);
    }
}

Rank ResourceGate::choose_for_actor(const TaskOptions& options, bool demands) {
    TaskOptions turned = options;
    if (!demands && turned.placement.kind == Placement::Kind::automatic) {
        turned.placement = Placement::spread();
    }
    return choose(turned, demands);
}

unsigned ResourceGate::bundle_home(const core::BundleKey& key) const {
    std::lock_guard guard(mutex_);
    const auto found = reservations_.groups().find(key.group);
    if (found == reservations_.groups().end()) return 0;
    const std::vector<core::PlacedBundle>& bundles = found->second.bundles;
    return key.bundle < bundles.size() ? static_cast<unsigned>(index(bundles[key.bundle].rank)) : 0;
}

}  // namespace mobula::runtime
