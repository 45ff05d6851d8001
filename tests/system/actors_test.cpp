// SPDX-License-Identifier: Apache-2.0
// Goal: methods of actors run one after another in the order of each caller, actors and tasks mix
// in one graph, and handles, names and pools work from every rank. Method: actors that record what
// they were given, placed on each rank in turn.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

int slow_identity(int n) {
    for (int i = 0; i < n % 5; ++i) mobula::yield();
    return n;
}
int add(int a, int b) { return a + b; }

class Journal {
public:
    Journal() = default;
    explicit Journal(int first) { entries_.push_back(first); }
    void write(int entry) { entries_.push_back(entry); }
    int write_and_count(int entry) & {
        entries_.push_back(entry);
        return static_cast<int>(entries_.size());
    }
    std::vector<int> read() const { return entries_; }
    unsigned where() const& noexcept { return mobula::rank(); }
    std::tuple<int, std::string> both() const {
        return {static_cast<int>(entries_.size()), "journal"};
    }
    /// Waits in the middle: nobody else may come in between.
    void write_around(Ref<int> middle) {
        entries_.push_back(-1);
        entries_.push_back(get(middle));
        entries_.push_back(-2);
    }
    std::unique_ptr<int> take(std::unique_ptr<int> box) {
        ++*box;
        return box;
    }

private:
    std::vector<int> entries_;
};

ActorOptions at(unsigned rank) { return {.placement = Placement::on_rank(rank)}; }

void order(unsigned rank) {
    auto journal = spawn<Journal>(at(rank), 0);
    check_equal(get(journal.call<&Journal::where>()), rank, "the rank of a placed actor");
    // Arguments become ready in any order; the calls keep theirs.
    for (int i = 1; i <= 300; ++i) {
        if (i % 3 == 0) {
            journal.call<&Journal::write>(i);
        } else {
            journal.call<&Journal::write>(
                remote<slow_identity>(on(static_cast<unsigned>(i) % ranks()), i));
        }
    }
    const std::vector<int> entries = get(journal.call<&Journal::read>());
    check_equal(entries.size(), 301U, "the number of entries");
    for (int i = 0; i <= 300; ++i) check_equal(entries[static_cast<std::size_t>(i)], i, "an entry");

    auto quiet = spawn<Journal>(at(rank));
    quiet.call<&Journal::write_around>(
        remote<slow_identity>(on((rank + 1) % ranks()), remote<slow_identity>(44)));
    for (int i = 0; i < 10; ++i) quiet.call<&Journal::write>(i);
    const std::vector<int> around = get(quiet.call<&Journal::read>());
    check(around.size() == 13 && around[0] == -1 && around[1] == 44 && around[2] == -2,
          "a method that waits let another one in");
    auto [count, text] = quiet.call<&Journal::both>();
    check(get(count) == 13 && get(text) == "journal", "a method's two results are wrong");
    check_equal(*get(quiet.call<&Journal::take>(std::make_unique<int>(3))), 4,
                "a move-only value through a method");
}

/// Writes 100 numbers of its own; its calls must not be mixed up among themselves.
void write_many(Actor<Journal> journal, int caller) {
    std::vector<Ref<void>> calls;
    for (int i = 0; i < 100; ++i) {
        calls.push_back(journal.call<&Journal::write>(
            i % 2 == 0 ? put(caller * 1000 + i)
                       : remote<slow_identity>(on(static_cast<unsigned>(i) % ranks()),
                                               caller * 1000 + i)));
    }
    get(calls);
}

void callers(unsigned rank) {
    auto journal = spawn<Journal>(at(rank));
    std::vector<Ref<void>> writers;
    for (int caller = 0; caller < 8; ++caller) {
        writers.push_back(
            remote<write_many>(on(static_cast<unsigned>(caller) % ranks()), journal, caller));
    }
    get(writers);
    std::map<int, int> next;
    const std::vector<int> entries = get(journal.call<&Journal::read>());
    check_equal(entries.size(), 800U, "the number of entries of 8 callers");
    for (const int entry : entries) {
        check_equal(entry % 1000, next[entry / 1000]++, "the order of one caller");
    }
}

/// Adds on behalf of others; calls other actors itself.
class Relay {
public:
    Relay() = default;
    explicit Relay(Actor<Relay> next) : next_(std::move(next)) {}
    int pass(int value) {
        if (!next_.valid()) return value;
        return get(next_.call<&Relay::pass>(value + 1));
    }
    Ref<int> pass_on(int value) {
        return next_.valid() ? next_.call<&Relay::pass>(value) : put(value);
    }

private:
    Actor<Relay> next_;
};

void graphs(unsigned rank) {
    // task -> method -> task -> method, without the driver waiting in between.
    auto journal = spawn<Journal>(at(rank), 1);
    Ref<int> value = remote<add>(on((rank + 1) % ranks()), 1, 1);
    for (int i = 0; i < 50; ++i) {
        const Ref<int> count = journal.call<&Journal::write_and_count>(value);
        value = remote<add>(on(static_cast<unsigned>(i) % ranks()), count, 100);
    }
    check_equal(get(value), 151, "the end of a chain of tasks and methods");

    Actor<Relay> relay = spawn<Relay>(at(rank));
    for (unsigned i = 1; i <= 10; ++i) relay = spawn<Relay>(at((rank + i) % ranks()), relay);
    check_equal(get(relay.call<&Relay::pass>(0)), 10, "a value passed along ten actors");
    check_equal(get(get(relay.call<&Relay::pass_on>(0))), 9, "a Ref that a method returned");
    // The constructor's argument is still to come.
    auto later = spawn<Journal>(at(rank), remote<slow_identity>(on((rank + 1) % ranks()), 23));
    get(later.ready());
    check_equal(get(later.call<&Journal::read>())[0], 23, "what a constructor waited for");
}

/// Counts on its rank how often one was begun and called.
class Namesake {
public:
    Namesake() { ++begun; }
    explicit Namesake(int) : Namesake() {}
    int call() { return ++begun; }
    static inline std::atomic<int> begun{0};
};
int namesakes_here() { return Namesake::begun.load(); }

/// Of a name that lives on another rank, or on this one: nothing of the second actor runs.
void be_refused(const std::string& name, unsigned there) {
    const ActorOptions second{.name = name, .placement = Placement::on_rank(there)};
    const auto refused = [&](const Actor<Namesake>& actor) {
        for (const std::string& why :
             {thrown<ActorDied>([&] { get(actor.call<&Namesake::call>()); }, "a first call"),
              thrown<ActorDied>([&] { get(actor.ready()); }, "ready"),
              thrown<ActorDied>([&] { get(actor.call<&Namesake::call>()); }, "a second call")}) {
            check_contains(why, "lives already", "why the second of a name was refused");
        }
    };
    for (int i = 0; i < 20; ++i) {
        try {
            refused(spawn<Namesake>(second));
            refused(spawn<Namesake>(second, remote<slow_identity>(i)));
        } catch (const BadInput& bad) {  // as the rank says on which the first was made
            check_contains(bad.what(), "lives already", "why a name was refused at once");
        }
    }
    check_equal(get(remote<namesakes_here>(on(there))), 0, "what the second of a name has run");
}

/// Named, killed before rank 0 can have answered: the name is free again, whatever ran.
void die_young(const std::string& name, unsigned there) {
    for (int i = 0; i < 50; ++i) {
        const auto young =
            spawn<Journal>({.name = name, .placement = Placement::on_rank(there)}, i);
        const Ref<std::vector<int>> call = young.call<&Journal::read>();
        kill(young);
        thrown<ActorDied>([&] { get(young.call<&Journal::read>()); }, "a call after kill");
        try {
            check_equal(get(call)[0], i, "what was read before a kill");
        } catch (const ActorDied& death) {
            check_contains(death.what(), "killed", "why a young one died");
        }
        await([&] { return !find<Journal>(name).has_value(); }, "the end of a young one's name");
    }
}

void names(unsigned rank) {
    const std::string name = "journal-" + std::to_string(rank);
    check(!find<Journal>(name).has_value(), "an actor was found that was never made");
    {
        auto journal = spawn<Journal>(
            {.name = name, .placement = Placement::on_rank((rank + 1) % ranks())}, 77);
        get(journal.ready());
        for (unsigned r = 0; r < ranks(); ++r) {
            check_equal(get(remote(
                            on(r),
                            [](const std::string& n) {
                                return get(find<Journal>(n).value().call<&Journal::read>())[0];
                            },
                            name)),
                        77, "what a rank read from the actor it found by name");
        }
        thrown<Error>([&] { get(spawn<Journal>({.name = name}, 1).ready()); },
                      "a name taken twice");
        check_equal(get(journal.call<&Journal::read>())[0], 77, "what the first of the name has");
    }
    await([&] { return !find<Journal>(name).has_value(); }, "the end of a name");
    // Made on another rank, found here, and the name is free again.
    get(remote(
        on(rank),
        [](const std::string& n) {
            auto journal = spawn<Journal>({.name = n}, 5);
            get(journal.ready());
            check_equal(get(find<Journal>(n)->call<&Journal::read>())[0], 5, "what was found");
        },
        name));
    await([&] { return !find<Journal>(name).has_value(); }, "the end of a name of another rank");
    // Taken by an actor that another rank made: the second one is refused, whoever is asked.
    const auto first = spawn<Journal>({.name = name}, 1);
    for (unsigned there = 0; there < ranks(); ++there) {
        get(remote<be_refused>(on((rank + 1) % ranks()), name, there));
        check_equal(get(find<Journal>(name)->call<&Journal::read>())[0], 1, "who has the name");
    }
    // Its death frees the name, though handles are left.
    kill(first);
    await([&] { return !find<Journal>(name).has_value(); }, "the end of a killed actor's name");
    const auto heir = spawn<Journal>({.name = name}, 3);
    get(heir.ready());
    check_equal(get(find<Journal>(name)->call<&Journal::read>())[0], 3, "who has the name now");
    for (unsigned there = 0; there < ranks(); ++there) {
        get(remote<die_young>(on(rank), "young-" + std::to_string(rank), there));
    }
}

class Worker {
public:
    int square(int n) {
        ++done_;
        for (int i = 0; i < n % 3; ++i) mobula::yield();
        return n * n;
    }
    int done() const { return done_; }
    int ask(Actor<Worker> other) { return get(other.call<&Worker::done>()); }

    /// Does not end before it is cancelled, or its actor is killed.
    int stay() {
        ++begun;
        return run_until_cancelled();
    }
    static inline std::atomic<int> begun{0};

private:
    int done_ = 0;
};
int begun_here() { return Worker::begun.load(); }

/// An actor that is busy gets nothing while others are idle.
void pool_with_a_busy_one(unsigned rank) {
    std::vector<Actor<Worker>> actors;
    for (unsigned i = 0; i < 3; ++i) actors.push_back(spawn<Worker>(at((rank + i) % ranks())));
    const int before = get(remote<begun_here>(on(rank)));
    ActorPool<Worker, int> pool(actors);
    pool.submit<&Worker::stay>();  // to the first
    await([&] { return get(remote<begun_here>(on(rank))) == before + 1; }, "a method that stays");
    for (int i = 0; i < 50; ++i) pool.submit<&Worker::square>(i);
    for (int i = 0; i < 50; ++i) get(*pool.next());
    check_equal(get(actors[1].call<&Worker::done>()) + get(actors[2].call<&Worker::done>()), 50,
                "what the idle actors of a pool did");
    kill(actors[0]);
    thrown<ActorDied>([&] { get(*pool.next()); }, "the method of the busy actor, which was killed");
    check(!pool.next(), "a pool that is done has another result");
}

/// A dead one fails what it is given once, and the living do the rest.
void pool_with_dead_ones(unsigned rank) {
    std::vector<Actor<Worker>> actors;
    for (unsigned i = 0; i < 4; ++i) actors.push_back(spawn<Worker>(at((rank + i) % ranks())));
    kill(actors[0]);
    kill(actors[2]);
    ActorPool<Worker, int> pool(actors);
    const auto results = [&](int number) {
        int died = 0;
        for (int i = 0; i < number; ++i) pool.submit<&Worker::square>(3);
        while (auto result = pool.next()) {
            try {
                check_equal(get(*result), 9, "what a pool's actor made");
            } catch (const ActorDied&) {
                ++died;
            }
        }
        return died;
    };
    check_equal(results(60), 2, "what two dead actors of a pool failed");
    check_equal(results(60), 0, "what they failed later");
    kill(actors[1]);
    check_equal(results(10), 1, "what one more dead actor failed");
    kill(actors[3]);
    check_equal(results(10), 10, "what a pool failed whose actors are all dead");
    check_equal(results(1), 1, "what it failed later");

    // Another one's death that a method passes on is not its own.
    const auto living = spawn<Worker>(at(rank));
    ActorPool<Worker, int> two({living, living});
    two.submit<&Worker::ask>(actors[0]);
    two.submit<&Worker::ask>(actors[0]);
    for (int i = 0; i < 2; ++i) {
        thrown<ActorDied>([&] { get(*two.next()); }, "a method that asked a dead actor");
    }
    two.submit<&Worker::square>(5);
    check_equal(get(*two.next()), 25, "what an actor made that had asked a dead one");
}

void pools(unsigned rank) {
    std::vector<Actor<Worker>> actors;
    for (unsigned i = 0; i < 4; ++i) actors.push_back(spawn<Worker>(at((rank + i) % ranks())));
    ActorPool<Worker, int> pool(actors);
    for (int i = 0; i < 200; ++i) pool.submit<&Worker::square>(i);
    long sum = 0;
    int results = 0;
    while (auto result = pool.next()) {
        sum += get(*result);
        ++results;
    }
    check_equal(results, 200, "the number of a pool's results");
    check_equal(sum, 199L * 200 * 399 / 6, "the sum of a pool's results");
    int done = 0;
    for (const auto& actor : actors) done += get(actor.call<&Worker::done>());
    check_equal(done, 200, "what the actors of a pool did together");
    thrown<BadInput>([] { ActorPool<Worker, int>({}); }, "a pool of no actors");
}

class Counter {
public:
    int count_up() { return ++count_; }

private:
    int count_ = 0;
};
class Titled {
public:
    void rename(const std::string& title) { title_ = title; }
    [[nodiscard]] std::string title() const { return title_; }

private:
    std::string title_ = "untitled";
};
class Ticking {
public:
    int tick() { return ++ticks_; }

private:
    int ticks_ = 100;
};
class Heir : public Counter, public Titled, public virtual Ticking {};

/// A base need not lie where the actor begins, nor where it lies in another class.
void inherited(unsigned rank) {
    const auto heir = spawn<Heir>(at(rank));
    const auto titled = spawn<Titled>(at(rank));
    heir.call<&Titled::rename>("a title that is longer than what fits inside of a string");
    titled.call<&Titled::rename>("short");
    check_equal(get(heir.call<&Counter::count_up>()), 1, "what the first base counts");
    check_equal(get(heir.call<&Heir::tick>()), 101, "what a virtual base counts");
    check_equal(get(heir.call<&Heir::title>()),
                "a title that is longer than what fits inside of a string", "the second base's");
    check_equal(get(titled.call<&Titled::title>()), "short", "the same of an actor of that class");
}

struct Unconvertible {
    operator int() const { throw std::runtime_error("no number"); }
};
/// Who could not be given a call is still idle.
void pool_with_a_bad_argument(unsigned rank) {
    const std::vector<Actor<Worker>> actors{spawn<Worker>(at(rank)), spawn<Worker>(at(rank))};
    ActorPool<Worker, int> pool(actors);
    thrown<std::runtime_error>([&] { pool.submit<&Worker::square>(Unconvertible()); },
                               "an argument that cannot be made");
    for (int i = 0; i < 2; ++i) pool.submit<&Worker::square>(4);
    for (int i = 0; i < 2; ++i) check_equal(get(*pool.next()), 16, "what was submitted later");
    check(!pool.next(), "what could not be submitted has a result");
    for (const auto& actor : actors) {
        check_equal(get(actor.call<&Worker::done>()), 1, "what each of the pool has done");
    }
}

void many(unsigned rank) {
    std::vector<Actor<Journal>> actors;
    std::vector<Ref<int>> counts;
    for (int i = 0; i < 500; ++i) actors.push_back(spawn<Journal>(i));
    for (int round = 0; round < 3; ++round) {
        for (const auto& actor : actors) {
            counts.push_back(actor.call<&Journal::write_and_count>(round));
        }
    }
    long sum = 0;
    for (const int count : get(counts)) sum += count;
    check_equal(sum, 500L * (2 + 3 + 4), "the calls of 500 actors");
    auto one = spawn<Journal>(at(rank));
    for (int i = 0; i < 20000; ++i) one.call<&Journal::write>(i);
    const std::vector<int> entries = get(one.call<&Journal::read>());
    check(entries.size() == 20000 && std::is_sorted(entries.begin(), entries.end()),
          "20,000 calls were lost or changed their order");
}

std::atomic<int> noted{0};
void note() { ++noted; }
struct Observer {
    int notes() { return noted.load(); }
    int notes_of(const std::map<int, int>&) { return notes(); }
};
/// Keeps the worker until so many tasks and calls have come from other ranks.
void until_received(std::uint64_t tasks) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (statistics().tasks_received < tasks) {
        check(std::chrono::steady_clock::now() < end, "tasks do not come while a worker is busy");
    }
}

/// How many of a hundred tasks that are ready on the rank begin before a call.
int notes_before(unsigned rank, const Actor<Observer>& observer, CallOptions options,
                 bool with_argument = false) {
    get(remote(on(rank), [] { noted = 0; }));
    const std::uint64_t received =
        get(remote(on(rank), [] { return statistics().tasks_received; }));
    std::vector<Ref<void>> tasks;
    if (rank != mobula::rank()) {
        tasks.push_back(remote<until_received>(on(rank), received + 103));
    }
    for (int i = 0; i < 100; ++i) tasks.push_back(remote<note>(on(rank)));
    const Ref<int> before =
        with_argument ? observer.call<&Observer::notes_of>(options, std::map<int, int>{{1, 2}})
                      : observer.call<&Observer::notes>(options);
    // Comes behind the call, which is in its queue when this one is counted.
    tasks.push_back(remote(on(rank), [] {}));
    get(tasks);
    return get(before);
}

void calls_before_tasks(unsigned rank) {
    if (get(remote<workers>(on(rank))) != 1) return;  // several workers have no common order
    const auto usual = spawn<Observer>(at(rank));
    check_equal(notes_before(rank, usual, {}), 0, "tasks that ran before a call");
    check_equal(notes_before(rank, usual, {.priority = -1}), 100,
                "those before one of less priority");
    ActorOptions options = at(rank);
    options.priority = -1;
    const auto patient = spawn<Observer>(options);
    check_equal(notes_before(rank, patient, {}), 100, "those before a call of a patient actor");
    check_equal(notes_before(rank, patient, {}, true), 100, "those before one with an argument");
    check_equal(notes_before(rank, patient, {.priority = 0}), 0, "those before its urgent call");
}

/// A handle of the wrong class fails its calls, and nothing else.
void wrong_class(unsigned rank) {
    const std::string name = "a journal of rank " + std::to_string(rank);
    const auto journal = spawn<Journal>({.name = name, .placement = Placement::on_rank(rank)}, 77);
    get(journal.ready());
    const Actor<Observer> wrong = find<Observer>(name).value();
    check_contains(thrown<Infeasible>([&] { get(wrong.call<&Observer::notes>()); },
                                      "a call by a handle of another class"),
                   "find<A>() needs the class", "why a call of another class fails");
    check_equal(get(journal.call<&Journal::read>())[0], 77, "an actor that was called wrongly");
}

int driver(Job& job) {
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        order(rank);
        callers(rank);
        graphs(rank);
        names(rank);
        wrong_class(rank);
        pools(rank);
        pool_with_a_busy_one(rank);
        pool_with_dead_ones(rank);
        pool_with_a_bad_argument(rank);
        inherited(rank);
        calls_before_tasks(rank);
    }
    many(job.ranks - 1);
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
