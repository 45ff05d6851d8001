// SPDX-License-Identifier: Apache-2.0
#include "transport/membership.hpp"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "base/check.hpp"

namespace mobula::transport {

namespace {

/// Ranks by their place within their node first, so that neighbours are on different nodes.
std::vector<Rank> make_ring(const std::vector<Node>& nodes) {
    std::vector<std::uint32_t> members_of_node(nodes.size() + 1);
    std::vector<std::tuple<std::uint32_t, std::size_t, Rank>> seats;
    for (std::size_t r = 0; r < nodes.size(); ++r) {
        const std::size_t node = std::min(index(nodes[r]), nodes.size());
        seats.emplace_back(members_of_node[node]++, node, Rank{static_cast<std::uint32_t>(r)});
    }
    std::sort(seats.begin(), seats.end());
    std::vector<Rank> ring;
    for (const auto& seat : seats) ring.push_back(std::get<Rank>(seat));
    return ring;
}

double seconds(Duration span) { return std::chrono::duration<double>(span).count(); }

}  // namespace

Membership::Membership(Rank self, const std::vector<Node>& nodes,
                       std::vector<Incarnation> incarnations, MembershipLimits limits, Time now)
    : self_(self),
      limits_(limits),
      members_(nodes.size()),
      ring_(make_ring(nodes)),
      others_living_(nodes.size() - 1),
      last_tick_(now) {
    check(index(self) < nodes.size() && incarnations.size() == nodes.size(),
          "a membership needs a node and an incarnation for each rank");
    for (std::size_t r = 0; r < members_.size(); ++r) {
        members_[r].incarnation = incarnations[r];
        members_[r].heard_at = now;
    }
    members_[index(self)].state = State::alive;
    choose_neighbours(now);
}

Membership::Verdict Membership::hears(Rank sender, Incarnation incarnation) noexcept {
    if (index(sender) >= members_.size() || sender == self_) return Verdict::drop;
    Member& member = members_[index(sender)];
    if (member.incarnation != incarnation) return Verdict::drop;
    if (member.state == State::dead) return Verdict::fence;
    if (member.state == State::joining) member.state = State::alive;
    member.heard = true;
    return Verdict::believe;
}

bool Membership::declare_dead(Rank rank) { return end(rank, State::dead); }

bool Membership::declare_left(Rank rank) { return end(rank, State::left); }

Rank Membership::first() const noexcept {
    std::uint32_t r = 0;
    while (r < index(self_) && state(Rank{r}) == State::dead) ++r;
    return Rank{r};
}

bool Membership::end(Rank rank, State state) {
    if (!lives(rank)) return false;
    members_[index(rank)].state = state;
    if (rank != self_) --others_living_;
    ++epoch_;
    if (members_[index(rank)].watched) choose_neighbours(last_tick_);
    return true;
}

void Membership::choose_neighbours(Time now) {
    const auto here = std::find(ring_.begin(), ring_.end(), self_);
    std::vector<Rank> chosen;
    const auto take_side = [&](auto step) {
        std::size_t wanted = limits_.neighbours;
        for (auto at = step(here); at != here && wanted > 0; at = step(at)) {
            if (!lives(*at)) continue;
            --wanted;
            if (std::find(chosen.begin(), chosen.end(), *at) == chosen.end()) chosen.push_back(*at);
        }
    };
    take_side(
        [&](auto at) { return std::next(at) == ring_.end() ? ring_.begin() : std::next(at); });
    take_side([&](auto at) { return std::prev(at == ring_.begin() ? ring_.end() : at); });
    for (const Rank rank : neighbours_) members_[index(rank)].watched = false;
    for (const Rank rank : chosen) {
        Member& member = members_[index(rank)];
        const bool is_new =
            std::find(neighbours_.begin(), neighbours_.end(), rank) == neighbours_.end();
        if (is_new) {
            // It did not beat to this rank before, so its silence counts from now.
            member.heard_at = std::max(member.heard_at, now);
            member.heard = member.told = false;
        }
        member.watched = true;
    }
    neighbours_ = std::move(chosen);
}

Membership::Round Membership::tick(Time now) {
    Round round;
    const Duration gap = now - last_tick_;
    // A short delay blames nobody wrongly: what came meanwhile was read before this. A longer one
    // may have kept this rank from reading at all, and the others of its machine from writing: of
    // each such gap a heartbeat counts.
    const bool was_away = gap > 2 * limits_.heartbeat;
    const Duration held_up = was_away ? gap - limits_.heartbeat : Duration::zero();
    last_tick_ = now;
    for (const Rank rank : neighbours_) {
        Member& member = members_[index(rank)];
        member.heard_at = member.heard ? now : member.heard_at + held_up;
        const Duration silent = now - member.heard_at;
        const bool joining = member.state == State::joining;
        // Its last beat may be a period old when a member falls silent, and the time that it has
        // begins then.
        if (silent >= (joining ? limits_.join_within : limits_.dead_after + limits_.heartbeat)) {
            const char* words = joining ? "rank {} has not said a word for {:.1f} s after the start"
                                        : "rank {} was silent for {:.1f} s";
            round.deaths.push_back(
                {rank, fmt::format(fmt::runtime(words), index(rank), seconds(silent))});
        }
    }
    for (const Death& death : round.deaths) declare_dead(death.rank);
    for (const Rank rank : neighbours_) {
        if (!members_[index(rank)].told) round.beat_to.push_back(rank);
    }
    for (const Rank rank : neighbours_) {
        Member& member = members_[index(rank)];
        member.heard = member.told = false;
    }
    return round;
}

}  // namespace mobula::transport
