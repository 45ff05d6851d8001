// SPDX-License-Identifier: Apache-2.0
#include "runtime/groups.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include <mobula/archive.hpp>
#include <mobula/error.hpp>

#include "runtime/engine.hpp"
#include "scheduler/bundles.hpp"

namespace mobula::runtime {

namespace {

/// The search for a layout goes one call deeper with each bundle, on the stack of the caller.
constexpr std::size_t bundles_max = 10'000;
/// So many are listed in a sentence.
constexpr std::size_t described_bundles_max = 8;

std::string listed(const std::vector<scheduler::Amounts>& all, const char* between) {
    std::string text;
    for (std::size_t i = 0; i < std::min(all.size(), described_bundles_max); ++i) {
        text += (i == 0 ? "" : between) + scheduler::describe(all[i]);
    }
    if (all.size() > described_bundles_max) {
        text += between + std::to_string(all.size() - described_bundles_max) + " more";
    }
    return text;
}

}  // namespace

std::uint64_t Groups::create(std::vector<scheduler::Amounts> bundles, Strategy strategy,
                             CellPtr& ready) {
    if (bundles.empty()) throw BadInput("a placement group needs at least one bundle");
    if (bundles.size() > bundles_max) {
        throw BadInput("a placement group of " + std::to_string(bundles.size()) +
                       " bundles is not allowed; it has at most " + std::to_string(bundles_max));
    }
    const auto ranks = scheduler::place_bundles(bundles, engine_.resources.totals(), strategy);
    if (!ranks) {
        throw Infeasible("the ranks can never hold a placement group of " + listed(bundles, " + ") +
                         " with this strategy; they have " +
                         listed(engine_.resources.totals(), " | "));
    }
    Object* const cell = graph::new_object(2);
    cell->type = &detail::type_info<detail::Nothing>;
    ready = CellPtr(cell);

    Group group;
    group.ready = CellPtr(cell);
    std::vector<ResourceGate::PlacedBundle> placed;
    for (std::size_t i = 0; i < bundles.size(); ++i) {
        placed.push_back({(*ranks)[i], bundles[i]});
        group.bundles.push_back({(*ranks)[i], static_cast<unsigned>(i), std::move(bundles[i])});
    }
    std::stable_sort(group.bundles.begin(), group.bundles.end(),
                     [](const Bundle& a, const Bundle& b) { return a.rank < b.rank; });
    std::uint64_t id = 0;
    {
        std::lock_guard guard(mutex_);
        id = (static_cast<std::uint64_t>(index(engine_.self())) << number_bits) | next_++;
        groups_.emplace(id, std::move(group));
    }
    engine_.resources.place_group(id, std::move(placed));
    reserve_next(id);
    return id;
}

std::size_t Groups::Group::end_of_rank() const noexcept {
    std::size_t end = held;
    while (end < bundles.size() && bundles[end].rank == bundles[held].rank) ++end;
    return end;
}

void Groups::reserve_next(std::uint64_t id) {
    Rank rank{};
    std::vector<ResourceGate::NumberedBundle> bundles;
    {
        std::lock_guard guard(mutex_);
        const auto found = groups_.find(id);
        if (found == groups_.end()) return;
        const Group& group = found->second;
        rank = group.bundles[group.held].rank;
        for (std::size_t i = group.held, end = group.end_of_rank(); i < end; ++i) {
            bundles.push_back({group.bundles[i].number, group.bundles[i].amounts});
        }
    }
    if (rank == engine_.self()) return reserve_here({rank, id, std::move(bundles)});
    wire::Written record(wire::HoldGroup{id});
    record.put(static_cast<std::uint32_t>(bundles.size()));
    for (const ResourceGate::NumberedBundle& bundle : bundles) {
        record.put(bundle.number);
        bundle.amounts.encode(record);
    }
    engine_.network.send(rank, record);
}

void Groups::on_hold(Rank from, const wire::HoldGroup& message, wire::RecordReader& tail) {
    Request request{from, message.group, {}};
    for (std::uint32_t left = tail.count(sizeof(unsigned)); left > 0; --left) {
        const auto number = tail.get<unsigned>();
        request.bundles.push_back({number, scheduler::Amounts::decode(tail)});
    }
    check_new(request);
    reserve_here(std::move(request));
}

/// A rank reserves for its own groups, and for each once: the names of bundles are used once.
void Groups::check_new(const Request& request) {
    if (maker_of(request.group) != request.maker) {
        throw Error("a rank reserves bundles for a group of another");
    }
    std::set<unsigned> numbers;
    for (const auto& bundle : request.bundles) {
        if (bundle.amounts.cpus() < 0 || !numbers.insert(bundle.number).second) {
            throw Error("a record holds bundles that cannot be reserved");
        }
    }
    std::lock_guard guard(mutex_);
    const bool waits = std::any_of(waiting_.begin(), waiting_.end(), [&](const Request& other) {
        return other.group == request.group;
    });
    if (waits || engine_.resources.has_bundles(request.group)) {
        throw Error("a rank reserves the bundles of a group twice");
    }
}

void Groups::reserve_here(Request request) {
    {
        // Whoever gives resources back looks for requests afterwards: it must find this one, or
        // this one what was given back.
        std::lock_guard guard(mutex_);
        if (!engine_.resources.reserve(request.group, request.bundles)) {
            waiting_.push_back(std::move(request));
            return;
        }
    }
    answer(request);
}

void Groups::retry() {
    std::vector<Request> held;
    {
        // Whoever frees a group meanwhile finds its request waiting, or its bundle reserved.
        std::lock_guard guard(mutex_);
        for (auto at = waiting_.begin(); at != waiting_.end();) {
            if (!engine_.resources.reserve(at->group, at->bundles)) {
                ++at;
                continue;
            }
            held.push_back(std::move(*at));
            at = waiting_.erase(at);
        }
    }
    for (const Request& request : held) answer(request);
}

void Groups::answer(const Request& request) {
    if (request.maker == engine_.self()) return granted(request.group, engine_.self());
    engine_.network.send(request.maker, wire::HeldGroup{request.group});
}

void Groups::on_held(Rank from, const wire::HeldGroup& message) {
    if (maker_of(message.group) != engine_.self()) {
        throw Error("a rank reserved bundles for no group of ours");
    }
    granted(message.group, from);
}

void Groups::granted(std::uint64_t id, Rank holder) {
    CellPtr ready;
    bool gone = false;
    {
        std::lock_guard guard(mutex_);
        const auto found = groups_.find(id);
        gone = found == groups_.end();
        if (!gone) {
            Group& group = found->second;
            if (group.held == group.bundles.size() || group.bundles[group.held].rank != holder) {
                throw Error("a rank reserved bundles that nobody asked of it");
            }
            group.held = group.end_of_rank();
            if (group.held == group.bundles.size()) ready = group.ready;
        }
    }
    // It may have been asked for after the group had it all freed.
    if (gone) return give_back(id, holder);
    if (!ready) return reserve_next(id);
    Object& object = Object::of(*ready);
    new (graph::make_place(object, detail::type_info<detail::Nothing>)) detail::Nothing;
    graph::complete(object);
}

void Groups::remove(std::uint64_t id) {
    Group gone;
    {
        std::lock_guard guard(mutex_);
        const auto found = groups_.find(id);
        if (found == groups_.end()) return;
        gone = std::move(found->second);
        groups_.erase(found);
    }
    // Also where a bundle was only asked for: the request is taken out there.
    for (std::size_t i = 0; i < gone.bundles.size(); ++i) {
        if (i != 0 && gone.bundles[i].rank == gone.bundles[i - 1].rank) continue;
        if (gone.bundles[i].rank != engine_.self()) give_back(id, gone.bundles[i].rank);
    }
    give_back(id, engine_.self());
    if (gone.held == gone.bundles.size()) return;
    auto failure = std::make_shared<graph::Failure>();
    failure->kind = graph::FailureKind::cancelled;
    failure->rank = static_cast<std::uint32_t>(index(engine_.self()));
    failure->message = "the placement group went before all its bundles were reserved";
    graph::fail(Object::of(*gone.ready), std::move(failure));
}

void Groups::give_back(std::uint64_t id, Rank holder) {
    if (holder == engine_.self()) return free_here(id);
    engine_.network.send(holder, wire::FreeGroup{id});
}

void Groups::on_free(Rank from, const wire::FreeGroup& message) {
    if (maker_of(message.group) != from) {
        throw Error("a rank gives up bundles of a group of another");
    }
    free_here(message.group);
}

void Groups::free_here(std::uint64_t id) {
    {
        std::lock_guard guard(mutex_);
        std::erase_if(waiting_, [&](const Request& request) { return request.group == id; });
    }
    engine_.resources.unreserve(id);
    retry();
}

std::string Groups::key_of(std::uint64_t group) { return "group " + std::to_string(group); }

std::string Groups::name_of(std::uint64_t group) {
    const std::uint64_t rank = index(maker_of(group));
    return "placement group " + std::to_string(group - (rank << number_bits)) + " of rank " +
           std::to_string(rank);
}

void Groups::list(std::vector<Waiting>& all) {
    const Time now = Clock::now();
    std::lock_guard guard(mutex_);
    for (const Request& request : waiting_) {
        Waiting& one = all.emplace_back();
        one.key = key_of(request.group);
        one.name = name_of(request.group);
        one.seconds = std::chrono::duration<double>(now - request.since).count();
        scheduler::Amounts all_of_it;
        for (const auto& bundle : request.bundles) all_of_it += bundle.amounts;
        engine_.resources.explain(all_of_it, one);
    }
}

std::optional<Waiting::Target> Groups::target_of(const Object& ready) {
    std::lock_guard guard(mutex_);
    for (const auto& [id, group] : groups_) {
        if (group.ready.get() == &ready) return Waiting::Target{key_of(id), name_of(id)};
    }
    return std::nullopt;
}

}  // namespace mobula::runtime
