// SPDX-License-Identifier: Apache-2.0

/// Placement groups: at their maker, and on the ranks that their bundles are on.

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include <mobula/error.hpp>

#include "core/reservations.hpp"

namespace mobula::core {

using scheduler::Amounts;
using Message = Reservations::Effects::Message;

std::size_t Reservations::Group::end_of_rank() const noexcept {
    std::size_t end = held;
    while (end < order.size() && bundles[order[end]].rank == bundles[order[held]].rank) ++end;
    return end;
}

// ---- at the maker ----

GroupId Reservations::create(std::vector<PlacedBundle> bundles, Time now, Effects& effects) {
    const GroupId id = (GroupId{index(self_)} << group_number_bits) | next_group_++;
    Group& group = groups_[id];
    group.bundles = std::move(bundles);
    group.order.resize(group.bundles.size());
    std::iota(group.order.begin(), group.order.end(), 0U);
    std::stable_sort(group.order.begin(), group.order.end(), [&](unsigned a, unsigned b) {
        return group.bundles[a].rank < group.bundles[b].rank;
    });
    reserve_next(id, group, now, effects);
    return id;
}

void Reservations::reserve_next(GroupId id, const Group& group, Time now, Effects& effects) {
    const Rank rank = group.bundles[group.order[group.held]].rank;
    std::vector<NumberedBundle> wanted;
    for (std::size_t i = group.held, end = group.end_of_rank(); i < end; ++i) {
        wanted.push_back({group.order[i], group.bundles[group.order[i]].amounts});
    }
    if (rank == self_) return reserve_here({self_, id, std::move(wanted), now}, effects);
    effects.messages.push_back({Message::Kind::hold, rank, id, std::move(wanted)});
}

void Reservations::on_held(Rank from, GroupId group, Time now, Effects& effects) {
    if (maker_of(group) != self_) throw Error("a rank reserved bundles for no group of ours");
    granted(group, from, now, effects);
}

void Reservations::granted(GroupId id, Rank holder, Time now, Effects& effects) {
    const auto found = groups_.find(id);
    // It may have been asked for after the group had it all freed.
    if (found == groups_.end()) return give_back(id, holder, effects);
    Group& group = found->second;
    if (group.complete() || group.bundles[group.order[group.held]].rank != holder) {
        throw Error("a rank reserved bundles that nobody asked of it");
    }
    group.held = group.end_of_rank();
    if (!group.complete()) return reserve_next(id, group, now, effects);
    effects.complete.push_back(id);
}

bool Reservations::remove(GroupId id, Effects& effects) {
    const auto found = groups_.find(id);
    if (found == groups_.end()) return false;
    const Group gone = std::move(found->second);
    groups_.erase(found);
    // Also where a bundle was only asked for: the request is taken out there.
    std::set<Rank> ranks;
    for (const PlacedBundle& bundle : gone.bundles) ranks.insert(bundle.rank);
    ranks.erase(self_);
    for (const Rank rank : ranks) give_back(id, rank, effects);
    free_here(id, effects);
    return !gone.complete();
}

void Reservations::give_back(GroupId group, Rank holder, Effects& effects) {
    if (holder == self_) return free_here(group, effects);
    effects.messages.push_back({Message::Kind::free, holder, group});
}

// ---- where the bundles are ----

void Reservations::on_hold(Rank from, Request request, Effects& effects) {
    if (maker_of(request.group) != from) {
        throw Error("a rank reserves bundles for a group of another");
    }
    check_new(request);
    request.maker = from;
    reserve_here(std::move(request), effects);
}

/// A rank reserves for a group once: the names of bundles are used once.
void Reservations::check_new(const Request& request) const {
    std::set<unsigned> numbers;
    for (const NumberedBundle& bundle : request.bundles) {
        if (bundle.amounts.cpus() < 0 || !numbers.insert(bundle.number).second) {
            throw Error("a record holds bundles that cannot be reserved");
        }
    }
    const bool waits = std::any_of(requests_.begin(), requests_.end(), [&](const Request& other) {
        return other.group == request.group;
    });
    const auto first = bundles_.lower_bound({request.group, 0});
    if (waits || (first != bundles_.end() && first->first.group == request.group)) {
        throw Error("a rank reserves the bundles of a group twice");
    }
}

void Reservations::reserve_here(Request request, Effects& effects) {
    if (reserve(request)) return answer(request, effects);
    requests_.push_back(std::move(request));
}

/// All bundles or none.
bool Reservations::reserve(const Request& request) {
    std::vector<std::vector<unsigned>> gpus;
    for (const NumberedBundle& bundle : request.bundles) {
        auto acquired = own_.try_acquire(bundle.amounts);
        if (!acquired) {
            for (std::size_t i = 0; i < gpus.size(); ++i) {
                own_.release(request.bundles[i].amounts, gpus[i]);
            }
            return false;
        }
        gpus.push_back(std::move(*acquired));
    }
    for (std::size_t i = 0; i < request.bundles.size(); ++i) {
        const auto& [number, amounts] = request.bundles[i];
        bundles_.emplace(
            BundleKey{request.group, number},
            Bundle{amounts, gpus[i], scheduler::Ledger(amounts, gpus[i]), next_serial_++});
    }
    return true;
}

void Reservations::answer(const Request& request, Effects& effects) {
    if (request.maker == self_) return granted(request.group, self_, request.since, effects);
    effects.messages.push_back({Message::Kind::held, request.maker, request.group});
}

void Reservations::serve_requests(Effects& effects) {
    std::vector<Request> served;
    for (auto at = requests_.begin(); at != requests_.end();) {
        if (!reserve(*at)) {
            ++at;
            continue;
        }
        served.push_back(std::move(*at));
        at = requests_.erase(at);
    }
    for (const Request& request : served) answer(request, effects);
}

void Reservations::on_free(Rank from, GroupId group, Effects& effects) {
    if (maker_of(group) != from) throw Error("a rank gives up bundles of a group of another");
    free_here(group, effects);
}

void Reservations::free_here(GroupId group, Effects& effects) {
    std::erase_if(requests_, [&](const Request& request) { return request.group == group; });
    const auto first = bundles_.lower_bound({group, 0});
    auto last = first;
    for (; last != bundles_.end() && last->first.group == group; ++last) {
        own_.release(last->second.amounts, last->second.gpus);
    }
    bundles_.erase(first, last);
    settle(effects);
}

}  // namespace mobula::core
