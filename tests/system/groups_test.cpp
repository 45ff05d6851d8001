// SPDX-License-Identifier: Apache-2.0
// Goal: a placement group is all or nothing, lies where its strategy says, lends its bundles to
// tasks and actors, and gives everything back. Method: each rank has 4 workers and 2 GPUs; groups
// that fit, that must wait for others to go, and that can never be.
#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;
using namespace std::chrono_literals;

unsigned where() { return mobula::rank(); }
std::vector<unsigned> which_gpus() { return mobula::gpus(); }
int hold(int turns) {
    for (int i = 0; i < turns; ++i) mobula::yield();
    return turns;
}
std::atomic<bool> told{false};
std::atomic<int> begun{0};
bool tell() { return told.exchange(true); }
int begun_here() { return begun.load(); }
int until_told() {
    ++begun;
    while (!told) mobula::yield();
    return 1;
}
/// Waits first after it was told.
int told_and_waits() { return until_told() + get(remote<hold>(on(mobula::rank()), 3)); }
/// Waits until then.
int waits_until_told() { return 1 + get(remote<until_told>(on(mobula::rank()))); }
struct Guest {
    Guest() = default;
    explicit Guest(int) {}
    unsigned where() { return mobula::rank(); }
};

std::vector<unsigned> ranks_of(const PlacementGroup& group, unsigned bundles) {
    std::vector<Ref<unsigned>> refs;
    for (unsigned i = 0; i < bundles; ++i) {
        refs.push_back(remote<where>({.placement = group.bundle(i)}));
    }
    return get(refs);
}

void layouts() {
    {
        const PlacementGroup packed({{{"cpus", 1}}, {{"cpus", 1}}}, Strategy::strict_pack);
        get(packed.ready());
        const std::vector<unsigned> at = ranks_of(packed, 2);
        check_equal(at[0], at[1], "the rank of the second bundle of a strictly packed group");
    }
    std::vector<Resources> one_each(ranks(), Resources{{"cpus", 2}});
    const PlacementGroup spread(one_each, Strategy::strict_spread);
    get(spread.ready());
    const std::vector<unsigned> at = ranks_of(spread, ranks());
    check_equal(std::set<unsigned>(at.begin(), at.end()).size(), std::size_t{ranks()},
                "the ranks of a strictly spread group");
    const auto guest = spawn<Guest>({.placement = spread.bundle(0)});
    check_equal(get(guest.call<&Guest::where>()), at[0], "the rank of an actor in a bundle");
}

/// The strategies that are wishes: kept while there is room, and no reason to refuse.
void wishes() {
    {
        const PlacementGroup packed(std::vector<Resources>(4, Resources{{"cpus", 1}}),
                                    Strategy::pack);
        get(packed.ready());
        const std::vector<unsigned> at = ranks_of(packed, 4);
        check_equal(std::set<unsigned>(at.begin(), at.end()).size(), std::size_t{1},
                    "the ranks of a packed group that one rank holds");
    }
    {
        // More than one rank has, so that all are needed; strictly packed it could never be.
        const PlacementGroup packed(std::vector<Resources>(ranks(), Resources{{"cpus", 3}}),
                                    Strategy::pack);
        get(packed.ready());
        const std::vector<unsigned> at = ranks_of(packed, ranks());
        check_equal(std::set<unsigned>(at.begin(), at.end()).size(), std::size_t{ranks()},
                    "the ranks of a packed group that needs all");
    }
    // Two on each rank; strictly spread it could never be.
    const PlacementGroup spread(std::vector<Resources>(2 * ranks(), Resources{{"cpus", 1}}),
                                Strategy::spread);
    get(spread.ready());
    std::vector<unsigned> at = ranks_of(spread, 2 * ranks());
    std::sort(at.begin(), at.end());
    for (unsigned i = 0; i < at.size(); ++i) {
        check_equal(at[i], i / 2, "the rank of bundle " + std::to_string(i) + " of a spread group");
    }
}

void gpus_of_bundles() {
    const PlacementGroup group({{{"cpus", 1}, {"gpus", 1}}, {{"cpus", 1}, {"gpus", 1}}},
                               Strategy::strict_pack);
    get(group.ready());
    const auto first = get(remote<which_gpus>({.gpus = 1, .placement = group.bundle(0)}));
    const auto second = get(remote<which_gpus>({.gpus = 1, .placement = group.bundle(1)}));
    check(first.size() == 1 && second.size() == 1 && first != second,
          "two bundles hold the same GPU");
}

void all_or_nothing() {
    const std::vector<Resources> everything(ranks(), Resources{{"cpus", 4}});
    auto first = std::make_unique<PlacementGroup>(everything, Strategy::strict_spread);
    get(first->ready());
    // Nothing is left: the second has to wait, holding nothing that others could need.
    const PlacementGroup second(everything, Strategy::strict_spread);
    const PlacementGroup third(everything, Strategy::strict_spread);
    thrown<Timeout>([&] { get(second.ready(), 50ms); }, "a group for which there is no room");
    check_equal(get(remote<hold>({.cpus = 4, .placement = first->bundle(0)}, 3)), 3,
                "a task that takes a whole bundle");
    first.reset();
    get(second.ready());
    thrown<Timeout>([&] { get(third.ready(), 50ms); }, "a third group for which there is no room");
}

void two_at_once() {
    // Groups that are asked for at once by several tasks and need the same ranks do not block one
    // another with what each has got so far.
    std::vector<Ref<int>> takers;
    for (unsigned i = 0; i < 8; ++i) {
        takers.push_back(remote({.cpus = 0, .placement = Placement::on_rank(i % ranks())}, [] {
            for (int round = 0; round < 5; ++round) {
                const PlacementGroup group(std::vector<Resources>(ranks(), Resources{{"cpus", 3}}),
                                           Strategy::strict_spread);
                get(group.ready());
                get(remote<hold>({.cpus = 3, .placement = group.bundle(0)}, 2));
            }
            return 1;
        }));
    }
    int done = 0;
    for (const int one : get(takers)) done += one;
    check_equal(done, 8, "how many tasks got their groups");
}

/// Groups of two bundles on one rank, which has room for one such group: none gets half of it.
void two_at_once_on_one_rank() {
    std::vector<Ref<int>> takers;
    for (unsigned i = 0; i < 2 * ranks(); ++i) {
        takers.push_back(remote({.cpus = 0, .placement = Placement::on_rank(i % ranks())}, [] {
            for (int round = 0; round < 50; ++round) {
                const PlacementGroup group({{{"gpus", 1}}, {{"gpus", 1}}}, Strategy::strict_pack);
                get(group.ready(), 30s);
            }
            return 1;
        }));
    }
    get(takers);
}

/// A task that waits lends its CPUs also to a group, even to one of its own.
void made_by_who_has_all() {
    TaskOptions all = on(0);
    all.cpus = 4;
    const auto make = [] {
        const PlacementGroup group(std::vector<Resources>(ranks(), Resources{{"cpus", 4}}),
                                   Strategy::strict_spread);
        get(group.ready(), 20s);
        return 1;
    };
    check_equal(get(remote(all, make)), 1, "a task that made a group of the CPUs it has itself");
}

/// An actor whose bundle goes before its constructor runs is dead.
void bundle_goes_first() {
    std::optional<Actor<Guest>> guest;
    opened = false;
    {
        const PlacementGroup group(std::vector<Resources>(ranks(), Resources{{"cpus", 1}}),
                                   Strategy::strict_spread);
        get(group.ready());
        guest = spawn<Guest>({.cpus = 1, .placement = group.bundle(ranks() - 1)},
                             remote<wait_until_opened>(on(0)));
    }
    const auto call = guest->call<&Guest::where>();
    opened = true;
    const std::string why = thrown<ActorDied>([&] { get(call, 20s); }, "a call of it");
    check_contains(why, "gone", "why the actor died");
}

void bad_ones() {
    const std::string never = thrown<Infeasible>(
        [] {
            const PlacementGroup group({{{"cpus", 5}}});
        },
        "a bundle of 5 CPUs");
    check_contains(never, "5", "the refusal of a bundle");
    thrown<Infeasible>(
        [] {
            const PlacementGroup group(std::vector<Resources>(ranks() + 1, Resources{{"cpus", 1}}),
                                       Strategy::strict_spread);
        },
        "more bundles than ranks");
    const auto bundles = [](std::size_t number, double cpus) {
        return std::vector<Resources>(number, Resources{{"cpus", cpus}});
    };
    const std::string many =
        thrown<Infeasible>([&] { const PlacementGroup most(bundles(10'000, 1)); },
                           "a bundle for each of ten thousand CPUs");
    check(many.size() < 1000, "the refusal lists " + std::to_string(many.size()) + " letters");
    {
        const PlacementGroup most(bundles(10'000, 0));
        get(most.ready());
    }
    thrown<BadInput>([&] { const PlacementGroup more(bundles(10'001, 0)); }, "too many bundles");
    const PlacementGroup group({{{"cpus", 1}}});
    get(group.ready());
    thrown<Infeasible>([&] { remote<where>({.placement = group.bundle(3)}); },
                       "a bundle that is not there");
    thrown<Infeasible>([&] { remote<where>({.cpus = 2, .placement = group.bundle(0)}); },
                       "more than a bundle holds");
    Placement gone;
    {
        const PlacementGroup other({{{"cpus", 1}}});
        get(other.ready());
        gone = other.bundle(0);
    }
    thrown<Infeasible>([&] { remote<where>({.placement = gone}); },
                       "a bundle of a group that went");
}

std::atomic<bool> opened{false};
int when_opened() {
    while (!opened) yield();
    return 1;
}
/// The group of a task goes while the task waits for its input.
void gone_before_the_input() {
    auto group = std::make_unique<PlacementGroup>(
        std::vector<Resources>(ranks(), Resources{{"cpus", 1}}), Strategy::strict_spread);
    get(group->ready());
    const Ref<int> input = remote<when_opened>({.cpus = 0, .placement = Placement::on_rank(0)});
    std::vector<Ref<int>> tasks;
    for (unsigned i = 0; i < ranks(); ++i) {
        tasks.push_back(remote<hold>({.placement = group->bundle(i)}, input));
    }
    group.reset();
    opened = true;
    for (const auto& task : tasks) {
        check_contains(thrown<Infeasible>([&] { get(task); }, "a task whose group went"), "gone",
                       "why it cannot run");
    }
}

void outlived_by_tasks() {
    std::vector<Ref<int>> outliving;
    {
        const PlacementGroup group({{{"cpus", 1}}, {{"cpus", 1}}}, Strategy::strict_pack);
        get(group.ready());
        const unsigned rank = get(remote<where>({.cpus = 0, .placement = group.bundle(0)}));
        outliving.push_back(remote<told_and_waits>({.cpus = 1, .placement = group.bundle(0)}));
        outliving.push_back(remote<waits_until_told>({.cpus = 1, .placement = group.bundle(1)}));
        await([&] { return get(remote<begun_here>(on(rank))) == 2; }, "the start of two tasks");
    }
    for (unsigned rank = 0; rank < ranks(); ++rank) get(remote<tell>(on(rank)));
    for (const int one : get(outliving)) check(one >= 2, "a task ends wrongly without its bundle");
    // What they have left behind would be found by those that wait after them.
    for (unsigned i = 0; i < 100; ++i) get(remote<waits_until_told>(on(i % ranks())));
}

void gone_before_it_was_ready() {
    const std::vector<Resources> everything(ranks(), Resources{{"cpus", 4}});
    const PlacementGroup first({{{"cpus", 4}}});
    get(first.ready());
    auto second = std::make_unique<PlacementGroup>(everything, Strategy::strict_spread);
    const Ref<void> ready = second->ready();
    second.reset();
    const std::string text =
        thrown<Cancelled>([&] { get(ready, 10s); }, "the readiness of a group that went");
    check_contains(text, "placement group", "why a group is never ready");
}

/// Some are ready, some are asked for, some are on their way to the next rank when they go.
int make_and_drop(unsigned seed) {
    for (unsigned round = 0; round < 100; ++round) {
        const PlacementGroup group(std::vector<Resources>(ranks(), Resources{{"cpus", 3}}),
                                   Strategy::strict_spread);
        if ((round + seed) % 3 == 0) get(group.ready());
        if ((round + seed) % 3 == 1) mobula::yield();
    }
    return 1;
}

void dropped_at_any_time() {
    std::vector<Ref<int>> takers;
    for (unsigned i = 0; i < 4 * ranks(); ++i) {
        TaskOptions options = on(i % ranks());
        options.cpus = 0;
        takers.push_back(remote<make_and_drop>(options, i));
    }
    get(takers);
}

/// A task gives its CPUs back while a group asks for them.
void asked_for_while_they_come_back() {
    TaskOptions all = on(0);
    all.cpus = 4;
    for (int round = 0; round < 1000; ++round) {
        const Ref<int> before = remote<hold>(all, 0);
        const PlacementGroup group(std::vector<Resources>(ranks(), Resources{{"cpus", 4}}),
                                   Strategy::strict_spread);
        get(group.ready(), 20s);
        get(before);
    }
}

/// A rank that did not make the group uses its bundles all the same.
unsigned run_in(Placement bundle) { return get(remote<where>({.placement = bundle})); }
void used_elsewhere() {
    const PlacementGroup group(std::vector<Resources>(ranks(), Resources{{"cpus", 1}}),
                               Strategy::spread);
    get(group.ready());
    for (unsigned rank = 0; rank < ranks(); ++rank) {
        for (unsigned number = 0; number < ranks(); ++number) {
            const unsigned home = get(remote<where>({.placement = group.bundle(number)}));
            check_equal(get(remote<run_in>(on(rank), group.bundle(number))), home,
                        "where a bundle is, as another rank finds it");
        }
        const auto too_much = [](Placement bundle) {
            return get(remote<where>({.cpus = 2, .placement = bundle}));
        };
        const auto nowhere = [&](Placement bundle) {
            return thrown<Infeasible>([&] { get(remote(on(rank), too_much, bundle)); },
                                      "a task that asks too much of a bundle");
        };
        check_contains(nowhere(group.bundle(0)), "in a bundle of", "the refusal elsewhere");
    }
}

int driver(Job& job) {
    check_equal(workers(), 4U, "the number of workers");
    layouts();
    wishes();
    gpus_of_bundles();
    all_or_nothing();
    two_at_once();
    two_at_once_on_one_rank();
    made_by_who_has_all();
    bundle_goes_first();
    bad_ones();
    used_elsewhere();
    gone_before_the_input();
    outlived_by_tasks();
    gone_before_it_was_ready();
    dropped_at_any_time();
    asked_for_while_they_come_back();
    // All was given back.
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        TaskOptions all = on(rank);
        all.cpus = 4;
        all.gpus = 2;
        check_equal(get(remote<where>(all)), rank, "the rank of a task that takes all there is");
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
