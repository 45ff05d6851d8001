// SPDX-License-Identifier: Apache-2.0
#include "runtime/handle_circles.hpp"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <utility>

namespace mobula::runtime {

namespace {

/// What is printed of one circle.
constexpr std::size_t members_max = 10;

}  // namespace

HandleCircles::Look::Look(HandleCircles& circles, std::size_t actors) : circles_(circles) {
    if (actors == 0) return;
    handles_ = circles.exchange_.actor_handles();
    if (handles_.size() * actors > looked_at_max) handles_.clear();
    for (const auto& [id, handle] : handles_) counts_.push_back(handle.get()->references.load());
}

void HandleCircles::Look::destroyed(const ObjectId& actor, const std::string& title) {
    Waiting holder;
    for (std::size_t i = 0; i < handles_.size(); ++i) {
        const std::uint32_t count = handles_[i].second.get()->references.load();
        if (count < counts_[i]) holder.targets.push_back({waiting_key(handles_[i].first), {}});
        counts_[i] = count;
    }
    if (holder.targets.empty()) return;
    holder.key = waiting_key(actor);
    holder.name = title;
    holder.rank = static_cast<unsigned>(index(circles_.network_.self()));
    std::lock_guard guard(circles_.mutex_);
    circles_.holders_.push_back(std::move(holder));
}

void HandleCircles::send() {
    std::lock_guard guard(mutex_);
    if (network_.self() == driver_rank || holders_.empty()) return;
    wire::Written record(wire::Handles{});
    put_list(record, holders_);
    network_.send(driver_rank, record);
}

void HandleCircles::on_handles(const wire::Handles&, wire::RecordReader& tail) {
    std::vector<Waiting> holders = read_list(tail);
    if (network_.self() != driver_rank) return;
    std::lock_guard guard(mutex_);
    std::move(holders.begin(), holders.end(), std::back_inserter(holders_));
}

void HandleCircles::print() {
    std::lock_guard guard(mutex_);
    for (const std::vector<std::size_t>& circle : find_circles(holders_)) {
        std::string members;
        for (std::size_t i = 0; i < circle.size() && i < members_max; ++i) {
            const Waiting& member = holders_[circle[i]];
            members +=
                (i == 0 ? "" : ", ") + member.name + " on rank " + std::to_string(member.rank);
        }
        if (circle.size() > members_max) {
            members += " and " + std::to_string(circle.size() - members_max) + " more";
        }
        std::fprintf(stderr,
                     "mobula: actors that hold each other's handles never end by themselves, and "
                     "lived until the job's end: %s; kill() one of them\n",
                     members.c_str());
    }
}

}  // namespace mobula::runtime
