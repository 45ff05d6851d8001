// SPDX-License-Identifier: Apache-2.0
#include "runtime/resources.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <mobula/error.hpp>

#include "runtime/engine.hpp"

namespace mobula::runtime {

using scheduler::Amounts;

ResourceGate::ResourceGate(Engine& engine, const std::vector<Peer>& peers)
    : engine_(engine),
      own_(peers[index(engine.self())].resources, peers[index(engine.self())].gpus),
      turn_(index(engine.self())) {
    for (std::size_t i = 0; i < peers.size(); ++i) {
        choice_.join(peers[i].resources, engine.network.node_of(static_cast<Rank>(i)));
    }
}

std::vector<Amounts> ResourceGate::totals() const {
    std::lock_guard guard(mutex_);
    return choice_.totals();
}

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
        const std::size_t there = of_rank ? choice_.ranks() : detail::surroundings().nodes;
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
    if (placement.kind == Kind::rank && placement.target < engine_.network.ranks()) {
        return static_cast<Rank>(placement.target);
    }
    if (placement.kind == Kind::pack) return engine_.self();
    if (placement.kind != Kind::spread) return std::nullopt;
    std::lock_guard guard(mutex_);
    return static_cast<Rank>(turn_++ % choice_.ranks());
}

void ResourceGate::check(const TaskOptions& options, bool demands) const {
    const Placement& placement = options.placement;
    const bool anywhere =
        placement.kind == Placement::Kind::automatic || placement.kind == Placement::Kind::spread ||
        placement.kind == Placement::Kind::pack ||
        (placement.kind == Placement::Kind::rank && placement.target < engine_.network.ranks());
    if (!demands && anywhere) return;
    if (options.placement.kind == Placement::Kind::bundle) {
        static_cast<void>(bundle_rank(options));
    } else {
        const Amounts demand = demands ? Amounts::of(options) : Amounts{};
        std::lock_guard guard(mutex_);
        static_cast<void>(possible_placement(placement, demand));
    }
}

void ResourceGate::check_arrival(const TaskOptions& options) const {
    const Amounts asked = Amounts::of(options);
    if (options.placement.kind == Placement::Kind::bundle) return;  // take() knows the bundle
    if (!scheduler::fits(own_.total(), asked)) {
        throw Error("a record asks for " + scheduler::describe(asked) +
                    ", which this rank never has");
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
            placement.home >= engine_.network.ranks()) {
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
            if (!choice_.fits(engine_.self(), demand)) return choice_.first(demand);
            choice_.chose(engine_.self());
            return engine_.self();
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

/// Null when the bundle that it would be of is gone.
const scheduler::Ledger* ResourceGate::find_ledger(const TaskOptions& options) const noexcept {
    if (options.placement.kind != Placement::Kind::bundle) return &own_;
    const auto found = bundles_.find({options.placement.group, options.placement.target});
    return found == bundles_.end() ? nullptr : &found->second.ledger;
}

scheduler::Ledger* ResourceGate::find_ledger(const TaskOptions& options) noexcept {
    return const_cast<scheduler::Ledger*>(std::as_const(*this).find_ledger(options));
}

/// What the task holds is of this one; null when its bundle is gone, also where another has its
/// name now.
scheduler::Ledger* ResourceGate::ledger_held_by(const graph::TaskExtra& extra) noexcept {
    if (extra.bundle == 0) return &own_;
    const auto found =
        bundles_.find({extra.options.placement.group, extra.options.placement.target});
    const bool same = found != bundles_.end() && found->second.serial == extra.bundle;
    return same ? &found->second.ledger : nullptr;
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
        waiting_.push_back({&task, Clock::now()});
        return false;
    }
    hold(task, std::move(*gpus));
    return true;
}

/// The lock is held.
void ResourceGate::hold(Task& task, std::vector<unsigned> gpus) {
    graph::TaskExtra& extra = *task.extra;
    extra.gpus = std::move(gpus);
    extra.holds = true;
    const Placement& placement = extra.options.placement;
    extra.bundle = placement.kind == Placement::Kind::bundle
                       ? bundles_.at({placement.group, placement.target}).serial
                       : 0;
    extra.holder = &task;
    extra.function = task.info;
    extra.next_holder = holders_;
    if (holders_ != nullptr) holders_->previous_holder = &extra;
    holders_ = &extra;
}

/// The lock is held.
void ResourceGate::let_go(graph::TaskExtra& extra) {
    graph::TaskExtra* const next = std::exchange(extra.next_holder, nullptr);
    graph::TaskExtra* const previous = std::exchange(extra.previous_holder, nullptr);
    if (next != nullptr) next->previous_holder = previous;
    (previous == nullptr ? holders_ : previous->next_holder) = next;
}

std::unique_ptr<graph::TaskExtra> ResourceGate::keep(Task& constructor) {
    std::lock_guard guard(mutex_);
    constructor.extra->holder = nullptr;
    return std::unique_ptr<graph::TaskExtra>(std::exchange(constructor.extra, nullptr));
}

/// The lock is held. More, or fewer if below 0, CPUs of this rank are not for usual tasks.
void ResourceGate::keep_from_usual(std::int64_t cpus) {
    kept_cpus_ += cpus;
    const std::int64_t left = std::max<std::int64_t>(own_.total().cpus() - kept_cpus_, 0);
    const unsigned workers = engine_.team.workers();
    engine_.team.allow_usual(kept_cpus_ <= 0 ? workers
                                             : static_cast<unsigned>(std::min<std::int64_t>(
                                                   left / Amounts::one, workers)));
}

void ResourceGate::begin(graph::TaskExtra& extra) {
    std::lock_guard guard(mutex_);
    if (!extra.holds || std::exchange(extra.begun, true)) return;
    keep_from_usual(Amounts::of(extra.options).cpus());
}

void ResourceGate::release(graph::TaskExtra& extra) {
    if (!extra.holds) return;
    extra.holds = false;
    {
        std::lock_guard guard(mutex_);
        let_go(extra);
        if (std::exchange(extra.begun, false)) {
            keep_from_usual(-Amounts::of(extra.options).cpus());
        }
        if (scheduler::Ledger* const ledger = ledger_held_by(extra)) {
            ledger->release(Amounts::of(extra.options), extra.gpus);
        }
    }
    wake_waiting();
    engine_.groups.retry();
}

void ResourceGate::set_lends(graph::TaskExtra& extra, bool lends) {
    std::lock_guard guard(mutex_);
    if (std::exchange(extra.lends, lends) == lends) return;
    const Amounts amounts = Amounts::of(extra.options);
    if (extra.begun) keep_from_usual(lends ? -amounts.cpus() : amounts.cpus());
    scheduler::Ledger* const ledger = ledger_held_by(extra);
    if (ledger == nullptr) return;
    if (lends) {
        ledger->lend_cpus(amounts);
    } else {
        ledger->take_back_cpus(amounts);
    }
}

void ResourceGate::wake_waiting_and_groups() {
    wake_waiting();
    engine_.groups.retry();
}

void ResourceGate::lend(graph::TaskExtra& extra) {
    set_lends(extra, true);
    wake_waiting_and_groups();
}

void ResourceGate::take_back(graph::TaskExtra& extra) { set_lends(extra, false); }

void ResourceGate::wake_waiting() {
    std::vector<Task*> ready;
    {
        std::lock_guard guard(mutex_);
        for (auto at = waiting_.begin(); at != waiting_.end();) {
            Task& task = *at->task;
            const TaskOptions& options = task.extra->options;
            if (graph::is_cancelled(task)) {
                // It takes nothing, and is over as soon as a worker sees it.
            } else if (scheduler::Ledger* const ledger = find_ledger(options)) {
                auto gpus = ledger->try_acquire(Amounts::of(options));
                if (!gpus) {
                    ++at;
                    continue;
                }
                hold(task, std::move(*gpus));
            } else {
                task.cancelled = true;  // its bundle is gone
            }
            ready.push_back(&task);
            at = waiting_.erase(at);
        }
    }
    for (Task* task : ready) engine_.team.push(*task);
}

Amounts ResourceGate::free() const {
    std::lock_guard guard(mutex_);
    return own_.free();
}

bool ResourceGate::has_bundles(std::uint64_t group) const {
    std::lock_guard guard(mutex_);
    const auto first = bundles_.lower_bound({group, 0});
    return first != bundles_.end() && first->first.group == group;
}

bool ResourceGate::reserve(std::uint64_t group, const std::vector<NumberedBundle>& bundles) {
    std::lock_guard guard(mutex_);
    std::vector<std::vector<unsigned>> gpus;
    for (const NumberedBundle& bundle : bundles) {
        auto acquired = own_.try_acquire(bundle.amounts);
        if (!acquired) {
            for (std::size_t i = 0; i < gpus.size(); ++i) own_.release(bundles[i].amounts, gpus[i]);
            return false;
        }
        gpus.push_back(std::move(*acquired));
    }
    for (std::size_t i = 0; i < bundles.size(); ++i) {
        const auto& [number, amounts] = bundles[i];
        bundles_.emplace(
            BundleKey{group, number},
            Bundle{amounts, gpus[i], scheduler::Ledger(amounts, gpus[i]), next_serial_++});
    }
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

// ---- who waits for whom ----

namespace {

/// Of the usual tasks in a queue that wait for a CPU, so many are told.
constexpr std::size_t listed_usual_max = 16;
/// Of so many that have what one waits for, the first are told.
constexpr std::size_t listed_holders_max = 64;

/// Whether somebody has of what the demand lacks.
bool has_what_lacks(const Amounts& demand, const Amounts& free, const Amounts& held) {
    if (scheduler::fits(free, demand)) return held.gpus() > 0;  // there are only parts of GPUs
    const bool custom =
        std::any_of(demand.custom().begin(), demand.custom().end(), [&](const auto& entry) {
            return entry.second > free.custom(entry.first) && held.custom(entry.first) > 0;
        });
    return custom || (demand.cpus() > std::max<std::int64_t>(free.cpus(), 0) && held.cpus() > 0) ||
           (demand.gpus() > free.gpus() && held.gpus() > 0);
}

Waiting::Target target_of(const graph::TaskExtra& holder, Rank self) {
    if (holder.holder != nullptr) {
        const TaskMark mark = Actors::mark_of(*holder.holder, self);
        return {mark.key(), mark.title()};
    }
    const std::string& name = holder.options.name;
    return {{}, "actor " + (name.empty() ? holder.function->name() : name)};
}

}  // namespace

/// The lock is held.
void ResourceGate::explain_locked(const TaskOptions& options, const Amounts& demand,
                                  Waiting& waiting) const {
    const scheduler::Ledger* const ledger = find_ledger(options);
    if (ledger == nullptr) return;  // its bundle is gone, and it will hear of that
    waiting.rank = static_cast<unsigned>(index(engine_.self()));
    waiting.state = "needs " + scheduler::describe(demand) +
                    " (free: " + scheduler::describe(ledger->free()) + ") and waits";
    const auto add = [&](Waiting::Target target) {
        if (waiting.targets.size() < listed_holders_max) waiting.targets.push_back(target);
    };
    for (const graph::TaskExtra* holder = holders_; holder != nullptr;
         holder = holder->next_holder) {
        if (find_ledger(holder->options) != ledger) continue;
        Amounts held = Amounts::of(holder->options);
        if (holder->lends) held -= Amounts::of_cpus(held.cpus());
        if (has_what_lacks(demand, ledger->free(), held)) add(target_of(*holder, engine_.self()));
    }
    for (const auto& [key, bundle] : bundles_) {
        if (ledger == &own_ && has_what_lacks(demand, ledger->free(), bundle.amounts)) {
            add({Groups::key_of(key.group), Groups::name_of(key.group)});
        }
    }
    waiting.any = waiting.targets.size() > 1;
}

void ResourceGate::explain(const Amounts& demand, Waiting& waiting) const {
    std::lock_guard guard(mutex_);
    explain_locked({}, demand, waiting);
}

void ResourceGate::list(std::vector<Waiting>& all) const {
    const Time now = Clock::now();
    std::lock_guard guard(mutex_);
    for (const Waiter& waiter : waiting_) {
        Waiting& one = all.emplace_back();
        const TaskMark mark = Actors::mark_of(*waiter.task, engine_.self());
        one.key = mark.key();
        one.name = mark.title();
        one.seconds = std::chrono::duration<double>(now - waiter.since).count();
        const TaskOptions& options = waiter.task->extra->options;
        explain_locked(options, Amounts::of(options), one);
    }
    if (engine_.team.workers_for_usual() != 0) return;
    // No CPU is left for the usual tasks.
    std::vector<TaskMark> usual;
    usual.reserve(listed_usual_max);  // the queues are locked while they are looked through
    engine_.team.list_usual(listed_usual_max, [&](const Task& task) {
        if (usual.size() < listed_usual_max) usual.push_back(Actors::mark_of(task, engine_.self()));
    });
    for (const TaskMark& mark : usual) {
        Waiting& one = all.emplace_back();
        one.key = mark.key();
        one.name = mark.title();
        explain_locked({}, Amounts::of_cpus(Amounts::one), one);
    }
}

}  // namespace mobula::runtime
