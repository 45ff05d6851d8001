// SPDX-License-Identifier: Apache-2.0
// Goal: actors begin, fail and end as promised, wherever they are: exceptions, kill, the end with
// the last handle, several methods at once. Method: actors whose constructors and destructors are
// counted on their rank.
#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

ActorOptions at(unsigned rank) { return {.placement = Placement::on_rank(rank)}; }

struct Quarrel : std::runtime_error {
    explicit Quarrel(int n) : std::runtime_error("quarrel " + std::to_string(n)) {}
};

/// Breaks on its way to another rank.
struct Fragile {
    enum Where { leaving, arriving } breaks = leaving;

    template <class Archive>
    void save(Archive& archive) const {
        if (breaks == leaving) throw Quarrel(1);
        archive(static_cast<int>(breaks));
    }
    template <class Archive>
    void load(Archive&) {
        throw Quarrel(2);
    }
};

class Guest {
public:
    static inline std::atomic<int> present{0}, calls{0};

    explicit Guest(int mood) : mood_(mood) {
        if (mood < 0) throw Quarrel(mood);
        ++present;
    }
    Guest(int mood, const Fragile&) : Guest(mood) {}
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;
    ~Guest() { --present; }

    int mood() const { return mood_; }
    int count() { return ++calls; }
    int quarrel(int n) {
        mood_ = n;
        throw Quarrel(n);
    }
    int take(int mood, const Fragile&) { return mood; }
    int stay() { return run_until_cancelled(); }
    /// Counts how many are in here at once, waiting until all of them are.
    int meet(int expected) {
        ++inside_;
        await([&] { return inside_.load() >= expected; }, "enough calls at once");
        return inside_.load();
    }
    /// The most that were in here at once.
    int crowd() {
        const int now = ++inside_;
        most_ = std::max(most_.load(), now);
        for (int i = 0; i < 5; ++i) mobula::yield();
        --inside_;
        return most_;
    }

private:
    std::atomic<int> inside_{0}, most_{0};
    int mood_;
};

int present_here() { return Guest::present.load(); }
void gone(unsigned rank, const std::string& after) {
    await([&] { return get(remote<present_here>(on(rank))) == 0; },
          "the destructor of an actor after " + after);
}

void exceptions(unsigned rank) {
    auto guest = spawn<Guest>(at(rank), 4);
    try {
        get(guest.call<&Guest::quarrel>(9));
        fail("a method that throws gave a value");
    } catch (const TaskError& error) {
        check_equal(error.message(), "quarrel 9", "the message of a method's exception");
        check_contains(error.function(), "Guest::quarrel", "the function of a TaskError");
        check_equal(error.rank(), rank, "the rank of a TaskError");
    }
    check_equal(get(guest.call<&Guest::mood>()), 9, "the state of an actor after an exception");

    auto angry = spawn<Guest>(at(rank), -3);
    const std::string begin = thrown<TaskError>([&] { get(angry.ready()); }, "ready");
    check_contains(begin, "quarrel -3", "why an actor did not begin");
    const std::string call =
        thrown<ActorDied>([&] { get(angry.call<&Guest::mood>()); }, "a call of what never began");
    check_contains(call, "quarrel -3", "why a call failed");
    // A failed input fails the call, and the actor goes on.
    auto calm = spawn<Guest>(at(rank), 1);
    const Ref<int> failed = remote(on(rank), []() -> int { throw Quarrel(5); });
    thrown<TaskError>([&] { get(calm.call<&Guest::meet>(failed)); }, "a call with a failed input");
    check_equal(get(calm.call<&Guest::mood>()), 1, "the actor after it");
    const Ref<int> no_mood = remote(on(rank), []() -> int { throw Quarrel(6); });
    const auto never = spawn<Guest>(at(rank), no_mood);
    thrown<Error>([&] { get(never.call<&Guest::mood>()); }, "an actor whose argument failed");
}

void kills(unsigned rank) {
    auto guest = spawn<Guest>(at(rank), 1);
    const Ref<int> running = guest.call<&Guest::stay>();
    const Ref<int> queued = guest.call<&Guest::mood>();
    const Ref<int> waiting = guest.call<&Guest::meet>(remote<run_until_cancelled>(on(rank)));
    get(guest.ready());
    kill(guest);
    thrown<ActorDied>([&] { get(running); }, "the method that ran");
    const std::string text = thrown<ActorDied>([&] { get(queued); }, "a queued method");
    check_contains(text, "kill", "the sentence of a killed actor");
    thrown<ActorDied>([&] { get(waiting); }, "a method whose input was not there");
    thrown<ActorDied>([&] { get(guest.call<&Guest::mood>()); }, "a call after kill");
    kill(guest);
    gone(rank, "kill");
    // By another rank, which got the handle.
    auto other = spawn<Guest>(at(rank), 2);
    get(remote(
        on((rank + 1) % ranks()), [](Actor<Guest> g) { kill(g); }, other));
    await(
        [&] {
            try {
                get(other.call<&Guest::mood>());
                return false;
            } catch (const ActorDied&) {
                return true;
            }
        },
        "the death of an actor that another rank killed");
    gone(rank, "kill by another rank");
}

Actor<Guest> pass_back(Actor<Guest> guest) { return guest; }

void graceful(unsigned rank) {
    const int before = get(remote(on(rank), [] { return Guest::calls.load(); }));
    {
        auto guest = spawn<Guest>(at(rank), 1);
        for (int i = 0; i < 100; ++i) guest.call<&Guest::count>();
        guest.call<&Guest::meet>(remote([] { return 1; }));
        // The handle goes while the calls are under way; they are made all the same.
    }
    // Not there yet looks like gone, so the calls first.
    const auto calls = [] { return Guest::calls.load(); };
    await([&] { return get(remote(on(rank), calls)) >= before + 100; },
          "the calls made before the last handle went");
    gone(rank, "its last handle went");
    check_equal(get(remote(on(rank), calls)), before + 100, "the number of those calls");
    std::optional<Ref<Actor<Guest>>> travelled;
    {
        auto guest = spawn<Guest>(at(rank), 8);
        travelled = remote<pass_back>(on((rank + 1) % ranks()), guest);
    }
    check_equal(get(get(*travelled).call<&Guest::mood>()), 8, "an actor kept by a result");
    travelled.reset();
    gone(rank, "a result that kept it went");
    {
        const auto boxed = put(std::vector<Actor<Guest>>{spawn<Guest>(at(rank), 3)});
        check_equal(get(get(boxed)[0].call<&Guest::mood>()), 3, "an actor kept by an object");
    }
    gone(rank, "an object that kept it went");
    // Ends while nobody ever called it.
    {
        const auto unused = spawn<Guest>(at(rank), 1);
        get(unused.ready());
    }
    gone(rank, "nobody called it");
}

void at_once(unsigned rank) {
    auto open = spawn<Guest>({.max_concurrency = 5, .placement = Placement::on_rank(rank)}, 1);
    std::vector<Ref<int>> calls;
    for (int i = 0; i < 5; ++i) calls.push_back(open.call<&Guest::meet>(5));
    for (const int inside : get(calls)) check_equal(inside, 5, "how many are inside at once");
    auto narrow = spawn<Guest>({.max_concurrency = 3, .placement = Placement::on_rank(rank)}, 1);
    auto single = spawn<Guest>(at(rank), 1);
    std::vector<Ref<int>> crowds, alone;
    for (int i = 0; i < 50; ++i) {
        crowds.push_back(narrow.call<&Guest::crowd>());
        alone.push_back(single.call<&Guest::crowd>());
    }
    for (const int most : get(crowds)) check(most <= 3, "more than max_concurrency were inside");
    for (const int most : get(alone)) check_equal(most, 1, "the most in an actor of one at a time");
}

/// A call that fails as it leaves its line lets the one behind it go, which waits for its result.
void broken_calls(unsigned rank) {
    const auto guest = spawn<Guest>(at(rank), 1);
    opened = false;
    const Ref<int> input = remote<wait_until_opened>(on(0));
    const Ref<int> broken = guest.call<&Guest::take>(input, Fragile{Fragile::leaving});
    const Ref<int> behind = guest.call<&Guest::meet>(broken);
    const Ref<int> last = guest.call<&Guest::mood>();
    opened = true;
    if (rank == mobula::rank()) {
        check_equal(get(behind), 1, "a call behind one that need not travel");
    } else {
        thrown<TaskError>([&] { get(broken); }, "a call that cannot be encoded");
        thrown<TaskError>([&] { get(behind); }, "a call with its result");
    }
    check_equal(get(last), 1, "the call behind them");
}

/// The name is free for another although there is still a handle of the first.
void free_again(const std::string& name, unsigned rank) {
    std::optional<Actor<Guest>> heir;
    await(
        [&] {
            try {
                heir = spawn<Guest>({.name = name, .placement = Placement::on_rank(rank)}, 5);
                return true;
            } catch (const BadInput&) {
                return false;
            }
        },
        "a name that " + name + " had");
    check_equal(get(heir->call<&Guest::mood>()), 5, "who has the name now");
}

/// Names of actors that are dead before they began.
void unborn(unsigned rank) {
    ActorOptions named = at(rank);
    named.name = "killed early";
    opened = false;
    {
        const auto guest = spawn<Guest>(named, remote<wait_until_opened>(on(0)));
        kill(guest);
        free_again(named.name, rank);
        opened = true;
        thrown<ActorDied>([&] { get(guest.call<&Guest::mood>()); }, "a call of it");
    }
    for (const auto breaks : {Fragile::leaving, Fragile::arriving}) {
        if (rank == mobula::rank()) break;
        named.name = breaks == Fragile::leaving ? "broken while leaving" : "broken on arrival";
        const auto guest = spawn<Guest>(named, 2, Fragile{breaks});
        thrown<TaskError>([&] { get(guest.ready()); }, named.name);
        const auto heir = spawn<Guest>(named, 3);
        check_equal(get(heir.call<&Guest::mood>()), 3, "who has its name now");
    }
}

int one() { return 1; }

/// Uses the engine in its destructor, at the job's end too.
struct Farewell {
    Farewell() = default;
    Farewell(const Farewell&) = delete;
    Farewell& operator=(const Farewell&) = delete;
    ~Farewell() {
        for (unsigned rank = 0; rank < ranks(); ++rank) {
            try {
                get(remote<one>(on(rank)));
                static_cast<void>(get(spawn<Guest>(at(rank), 1).call<&Guest::mood>()));
            } catch (const Cancelled&) {
            } catch (const ActorDied&) {
            }
        }
    }
    int greet() { return 1; }
};

/// A crash there would be the end of the rank, and seen by the launcher.
void until_the_end() {
    static std::vector<Actor<Farewell>> kept;
    for (unsigned rank = 0; rank < ranks(); ++rank) kept.push_back(spawn<Farewell>(at(rank)));
    for (const auto& one_of_them : kept) get(one_of_them.call<&Farewell::greet>());
}

int driver(Job& job) {
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        exceptions(rank);
        gone(rank, "exceptions");
        kills(rank);
        graceful(rank);
        at_once(rank);
        gone(rank, "calls at once");
        broken_calls(rank);
        unborn(rank);
        gone(rank, "names");
    }
    until_the_end();
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
