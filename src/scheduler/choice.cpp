// SPDX-License-Identifier: Apache-2.0
#include "scheduler/choice.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace mobula::scheduler {

void Choice::Runs::add(std::uint32_t rank) {
    if (runs.empty() || runs.back().first + runs.back().count != rank) {
        runs.push_back({rank, 0, size});
    }
    ++runs.back().count;
    ++size;
}

Rank Choice::Runs::at(std::uint32_t place) const {
    const auto behind =
        std::upper_bound(runs.begin(), runs.end(), place,
                         [](std::uint32_t value, const Run& run) { return value < run.before; });
    const Run& run = *std::prev(behind);
    return Rank{run.first + (place - run.before)};
}

std::uint32_t Choice::Runs::place_of(Rank rank) const {
    const auto value = static_cast<std::uint32_t>(index(rank));
    const auto behind =
        std::upper_bound(runs.begin(), runs.end(), value,
                         [](std::uint32_t one, const Run& run) { return one < run.first; });
    const Run& run = *std::prev(behind);
    return run.before + (value - run.first);
}

void Choice::join(const Amounts& total, Node node) {
    auto found = std::find_if(classes_.begin(), classes_.end(),
                              [&](const Class& one) { return one.total == total; });
    if (found == classes_.end()) {
        // It begins where the others are, so that the newcomers do not get everything for a while.
        std::uint64_t rounds = 0;
        for (const Class& one : classes_) rounds = std::max(rounds, one.rounds);
        classes_.push_back({total, {}, rounds, 0});
        found = std::prev(classes_.end());
    }
    const auto number = static_cast<std::size_t>(found - classes_.begin());
    if (stretches_.empty() || stretches_.back().of != number) {
        stretches_.push_back({ranks_, number});
    }
    found->members.add(ranks_);
    nodes_[node].add(ranks_);
    ++ranks_;
}

std::size_t Choice::class_of(Rank rank) const {
    check(index(rank) < ranks_, "only ranks of the job are chosen");
    const auto behind = std::upper_bound(
        stretches_.begin(), stretches_.end(), index(rank),
        [](std::size_t value, const Stretch& stretch) { return value < stretch.first; });
    return std::prev(behind)->of;
}

const Amounts& Choice::total(Rank rank) const { return classes_[class_of(rank)].total; }

std::vector<Amounts> Choice::totals() const {
    std::vector<Amounts> all;
    for (std::size_t i = 0; i < stretches_.size(); ++i) {
        const std::size_t end = i + 1 < stretches_.size() ? stretches_[i + 1].first : ranks_;
        all.insert(all.end(), end - stretches_[i].first, classes_[stretches_[i].of].total);
    }
    return all;
}

std::vector<Rank> Choice::ranks_of(Node node) const {
    std::vector<Rank> ranks;
    const auto found = nodes_.find(node);
    if (found == nodes_.end()) return ranks;
    for (const Run& run : found->second.runs) {
        for (std::uint32_t i = 0; i < run.count; ++i) ranks.push_back(Rank{run.first + i});
    }
    return ranks;
}

bool Choice::fits(Rank rank, const Amounts& demand) const {
    return scheduler::fits(total(rank), demand);
}

bool Choice::fits_on(Node node, const Amounts& demand) const {
    const auto found = nodes_.find(node);
    if (found == nodes_.end()) return false;
    for (const Run& run : found->second.runs) {
        for (std::uint32_t i = 0; i < run.count; ++i) {
            ++looked_at_;
            if (fits(Rank{run.first + i}, demand)) return true;
        }
    }
    return false;
}

bool Choice::fits_anywhere(const Amounts& demand) const {
    return std::any_of(classes_.begin(), classes_.end(), [&](const Class& one) {
        ++looked_at_;
        return scheduler::fits(one.total, demand);
    });
}

// ---- turns ----

void Choice::end_turn(Class& one) noexcept {
    if (++one.next < one.members.size) return;
    one.next = 0;
    ++one.rounds;
}

/// Members that were chosen out of turn before lose this one.
void Choice::pass_over(Class& one) {
    for (;; end_turn(one)) {
        ++looked_at_;
        const std::uint32_t number = out_of_turn_.find(one.members.at(one.next));
        if (number == RankIndex::none || passes_[number] == 0) return;
        --passes_[number];
    }
}

std::uint64_t Choice::times_chosen(Rank rank) const {
    const Class& one = classes_[class_of(rank)];
    const std::uint32_t number = out_of_turn_.find(rank);
    const std::uint64_t passes = number == RankIndex::none ? 0 : passes_[number];
    return one.rounds + (one.members.place_of(rank) < one.next ? 1 : 0) + passes;
}

void Choice::chose(Rank rank) {
    const std::uint32_t number = out_of_turn_.add(rank);
    if (number == passes_.size()) passes_.push_back(0);
    ++passes_[number];
}

Rank Choice::least(const Amounts& demand) {
    Class* best = nullptr;
    Rank least{};
    for (Class& one : classes_) {
        if (!scheduler::fits(one.total, demand)) continue;
        pass_over(one);
        const Rank next = one.members.at(one.next);
        if (best != nullptr &&
            (one.rounds > best->rounds || (one.rounds == best->rounds && next > least))) {
            continue;
        }
        best = &one;
        least = next;
    }
    check(best != nullptr, "a rank is chosen where one has what is asked");
    end_turn(*best);
    return least;
}

Rank Choice::least_on(Node node, const Amounts& demand) {
    std::optional<Rank> best;
    std::uint64_t least = 0;
    for (const Rank rank : ranks_of(node)) {
        ++looked_at_;
        if (!fits(rank, demand)) continue;
        const std::uint64_t times = times_chosen(rank);
        if (best && times >= least) continue;
        best = rank;
        least = times;
    }
    check(best.has_value(), "a rank is chosen where one has what is asked");
    chose(*best);
    return *best;
}

Rank Choice::in_turn(const Amounts& demand, std::uint64_t turn) {
    std::uint64_t fitting = 0;
    for (const Class& one : classes_) {
        ++looked_at_;
        if (scheduler::fits(one.total, demand)) fitting += one.members.size;
    }
    check(fitting != 0, "a rank is chosen where one has what is asked");
    std::uint64_t place = turn % fitting;
    for (const Class& one : classes_) {
        if (!scheduler::fits(one.total, demand)) continue;
        if (place < one.members.size) {
            const Rank rank = one.members.at(static_cast<std::uint32_t>(place));
            chose(rank);
            return rank;
        }
        place -= one.members.size;
    }
    return Rank{};
}

Rank Choice::first(const Amounts& demand) {
    std::optional<Rank> lowest;
    for (const Class& one : classes_) {
        ++looked_at_;
        if (!scheduler::fits(one.total, demand)) continue;
        const Rank rank = one.members.at(0);
        if (!lowest || rank < *lowest) lowest = rank;
    }
    check(lowest.has_value(), "a rank is chosen where one has what is asked");
    chose(*lowest);
    return *lowest;
}

}  // namespace mobula::scheduler
