// SPDX-License-Identifier: Apache-2.0
#include "core/reservations.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include <mobula/error.hpp>

#include "base/check.hpp"

namespace mobula::core {

using scheduler::Amounts;
using scheduler::Ledger;

void check_fit(const Amounts& bundle, const Amounts& asked) {
    if (scheduler::fits(bundle, asked)) return;
    throw Infeasible("a task asks for " + scheduler::describe(asked) + " in a bundle of " +
                     scheduler::describe(bundle));
}

Reservations::Reservations(Rank self, Amounts total, std::vector<unsigned> gpus)
    : self_(self), own_(std::move(total), std::move(gpus)) {}

Reservations::Source Reservations::find_source(const std::optional<BundleKey>& bundle) noexcept {
    if (!bundle) return {&own_, 0};
    const auto found = bundles_.find(*bundle);
    if (found == bundles_.end()) return {};
    return {&found->second.ledger, found->second.serial};
}

/// Null when its bundle is gone, also where another has its name now.
Ledger* Reservations::ledger_held_by(const Claimed& claimed) noexcept {
    const Source source = find_source(claimed.demand.bundle);
    return source.serial == claimed.serial ? source.ledger : nullptr;
}

Reservations::Taken Reservations::take(Demand demand) {
    const Source source = find_source(demand.bundle);
    if (source.ledger == nullptr) {
        throw Infeasible("the placement group is not ready() yet, or gone, or has no bundle " +
                         std::to_string(demand.bundle->bundle));
    }
    if (demand.bundle) check_fit(source.ledger->total(), demand.amounts);
    auto gpus = source.ledger->try_acquire(demand.amounts);
    const Claim claim{next_claim_++};
    if (!gpus) {
        waiting_.emplace_hint(waiting_.end(), claim, Claimed{std::move(demand)});
        return {claim, false, {}};
    }
    held_.emplace_hint(held_.end(), claim, Claimed{std::move(demand), *gpus, source.serial});
    return {claim, true, std::move(*gpus)};
}

void Reservations::begin(Claim claim) {
    Claimed& claimed = held_.at(claim);
    if (std::exchange(claimed.begun, true)) return;
    kept_cpus_ += claimed.demand.amounts.cpus();
}

void Reservations::set_lends(Claim claim, bool lends) { set_lends(held_.at(claim), lends); }

void Reservations::set_lends(Claimed& claimed, bool lends) {
    if (std::exchange(claimed.lends, lends) == lends) return;
    const Amounts& amounts = claimed.demand.amounts;
    if (claimed.begun) kept_cpus_ += lends ? -amounts.cpus() : amounts.cpus();
    Ledger* const ledger = ledger_held_by(claimed);
    if (ledger == nullptr) return;
    if (lends) {
        ledger->lend_cpus(amounts);
    } else {
        ledger->take_back_cpus(amounts);
    }
}

void Reservations::release(Claim claim, Effects& effects) {
    auto node = held_.extract(claim);
    check(!node.empty(), "what is given back was held");
    Claimed& claimed = node.mapped();
    set_lends(claimed, false);
    if (claimed.begun) kept_cpus_ -= claimed.demand.amounts.cpus();
    if (Ledger* const ledger = ledger_held_by(claimed)) {
        ledger->release(claimed.demand.amounts, claimed.gpus);
    }
    settle(effects);
}

void Reservations::withdraw(Claim claim) { waiting_.erase(claim); }

void Reservations::settle(Effects& effects) {
    serve_demands(effects);
    serve_requests(effects);
}

void Reservations::serve_demands(Effects& effects) {
    for (auto at = waiting_.begin(); at != waiting_.end();) {
        Claimed& claimed = at->second;
        const Source source = find_source(claimed.demand.bundle);
        if (source.ledger == nullptr) {
            effects.ready.push_back({claimed.demand.token, false, {}});
            at = waiting_.erase(at);
            continue;
        }
        auto gpus = source.ledger->try_acquire(claimed.demand.amounts);
        if (!gpus) {
            ++at;
            continue;
        }
        claimed.gpus = *gpus;
        claimed.serial = source.serial;
        effects.ready.push_back({claimed.demand.token, true, std::move(*gpus)});
        held_.insert(waiting_.extract(at++));
    }
}

std::optional<std::int64_t> Reservations::cpus_for_usual() const noexcept {
    if (kept_cpus_ <= 0) return std::nullopt;
    return std::max<std::int64_t>(own_.total().cpus() - kept_cpus_, 0) / Amounts::one;
}

/// Whether something that holds so much has of what the demand lacks.
static bool has_what_lacks(const Amounts& demand, const Amounts& free, const Amounts& held) {
    if (scheduler::fits(free, demand)) return held.gpus() > 0;  // there are only parts of GPUs
    const bool custom =
        std::any_of(demand.custom().begin(), demand.custom().end(), [&](const auto& entry) {
            return entry.second > free.custom(entry.first) && held.custom(entry.first) > 0;
        });
    return custom || (demand.cpus() > std::max<std::int64_t>(free.cpus(), 0) && held.cpus() > 0) ||
           (demand.gpus() > free.gpus() && held.gpus() > 0);
}

std::optional<Reservations::Lack> Reservations::lack(const Amounts& amounts,
                                                     const std::optional<BundleKey>& bundle,
                                                     std::size_t count) const {
    const auto found = bundle ? bundles_.find(*bundle) : bundles_.end();
    if (bundle && found == bundles_.end()) return std::nullopt;
    const Amounts& free = bundle ? found->second.ledger.free() : own_.free();
    const std::uint64_t serial = bundle ? found->second.serial : 0;
    Lack lack{free, {}, {}};
    for (auto at = held_.rbegin(); at != held_.rend() && lack.holders.size() < count; ++at) {
        const Claimed& claimed = at->second;
        if (claimed.serial != serial) continue;
        Amounts held = claimed.demand.amounts;
        if (claimed.lends) held -= Amounts::of_cpus(held.cpus());
        if (has_what_lacks(amounts, free, held)) lack.holders.push_back(at->first);
    }
    for (const auto& [key, reserved] : bundles_) {
        if (bundle || lack.holders.size() + lack.groups.size() == count) break;
        if (has_what_lacks(amounts, free, reserved.amounts)) lack.groups.push_back(key.group);
    }
    return lack;
}

}  // namespace mobula::core
