// SPDX-License-Identifier: Apache-2.0
// Goal: a failure arrives at whoever needs the value, once, with its message, function, rank and
// the way it took. Method: tasks that throw on each rank, passed on through tasks, methods and
// objects, and calls that make no sense.
#include <string>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

struct Own : std::exception {
    [[nodiscard]] const char* what() const noexcept override { return "an exception of our own"; }
};

int boom(int n) { throw std::runtime_error("boom " + std::to_string(n)); }
int own(int) { throw Own(); }
int number(int n) { throw n; }
int first_step(int n) { return n; }
int second_step(int n) { return n; }
int getter(Ref<int> ref) { return get(ref) + 1; }
int survivor(Ref<int> ref) {
    try {
        return get(ref);
    } catch (const TaskError& error) {
        return error.message() == "boom 5" ? 55 : 0;
    }
}
std::tuple<int, std::string> both(int n) { throw std::logic_error("both " + std::to_string(n)); }

/// Throws while it is decoded on another rank.
struct Unreadable {
    int value = 0;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(value);
        if (Archive::is_loading::value) throw std::runtime_error("not to be read");
    }
};
int read_it(const Unreadable& unreadable) { return unreadable.value; }
/// Throws while it is encoded.
struct Unwritable {
    int value = 0;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(value);
        if (Archive::is_saving::value) throw std::runtime_error("not to be written");
    }
};
int write_it(const Unwritable& unwritable) { return unwritable.value; }
Unwritable make_unwritable() { return {}; }

void one(unsigned rank) {
    try {
        get(remote<boom>(on(rank), 5));
        fail("a task that throws gave a value");
    } catch (const TaskError& error) {
        check_equal(error.message(), "boom 5", "the message");
        check_equal(error.function(), "boom", "the function");
        check_equal(error.rank(), rank, "the rank");
        check(error.chain().empty(), "a failure that went nowhere has a chain");
        const std::string text = error.what();
        check_contains(text, "boom 5", "the sentence");
        check_contains(text, "rank " + std::to_string(rank), "the sentence");
    }
    TaskOptions named = on(rank);
    named.name = "the named one";
    check_contains(thrown<TaskError>([&] { get(remote<boom>(named, 1)); }, "a named task"),
                   "the named one", "the sentence of a named task");
    check_contains(thrown<TaskError>([&] { get(remote<own>(on(rank), 1)); }, "a type of ours"),
                   "an exception of our own", "the sentence of an exception of ours");
    thrown<TaskError>([&] { get(remote<number>(on(rank), 3)); }, "a task that throws a number");
    const auto results = remote<both>(on(rank), 7);
    const Ref<int>& n = std::get<0>(results);
    const Ref<std::string>& text = std::get<1>(results);
    thrown<TaskError>([&] { get(text); }, "the second of two results");
    thrown<TaskError>([&] { get(n); }, "the first of two results");
    thrown<TaskError>([&] { view(n); }, "a view of a failed result");
    // The same failure again and again.
    const Ref<int> failed = remote<boom>(on(rank), 2);
    for (int i = 0; i < 3; ++i) thrown<TaskError>([&] { get(failed); }, "a failed result again");
    check(failed.done(), "a failed result is not done");
}

void chains(unsigned rank) {
    const unsigned next = (rank + 1) % ranks();
    const Ref<int> end =
        remote<second_step>(on(next), remote<first_step>(on(rank), remote<boom>(on(next), 3)));
    try {
        get(end);
        fail("a chain that begins with a failure gave a value");
    } catch (const TaskError& error) {
        check_equal(error.message(), "boom 3", "the first cause");
        check_equal(error.rank(), next, "the rank of the first cause");
        check(error.chain() == std::vector<std::string>{"first_step", "second_step"},
              std::string("the chain of tasks is wrong in: ") + error.what());
        check_contains(error.what(), "first_step", "the sentence");
        check_contains(error.what(), "second_step", "the sentence");
    }
    try {
        get(remote<getter>(on(rank), remote<getter>(on(next), remote<boom>(on(rank), 4))));
        fail("tasks that get a failure gave a value");
    } catch (const TaskError& error) {
        check_equal(error.message(), "boom 4", "the first cause of what was got");
        check_equal(error.chain().size(), 2U, "the length of the chain of what was got");
    }
    check_equal(get(remote<survivor>(on(rank), remote<boom>(on(next), 5))), 55,
                "what a task makes of a failure");
    // The reference is written in the moment in which what it names may fail.
    for (int round = 0; round < 500; ++round) {
        check_equal(get(remote<survivor>(on(next), remote<boom>(on(rank), 5))), 55,
                    "what a task makes of a failure of this moment");
    }
    // One failure, many who need it.
    const Ref<int> failed = remote<boom>(on(rank), 6);
    std::vector<Ref<int>> needy;
    for (unsigned i = 0; i < 100; ++i) {
        needy.push_back(remote<first_step>(on(i % ranks()), failed));
    }
    for (const auto& ref : needy) thrown<TaskError>([&] { get(ref); }, "one of many in need");
    Ref<int> link = remote<boom>(on(rank), 7);
    for (unsigned i = 0; i < 200; ++i) link = remote<first_step>(on(i % ranks()), link);
    check_contains(thrown<TaskError>([&] { get(link); }, "the end of a long chain"), "boom 7",
                   "the first cause of a long chain");
}

void values(unsigned rank) {
    if (rank == 0) return;  // on one rank nothing is encoded
    check_contains(thrown<Error>([&] { get(remote<read_it>(on(rank), put(Unreadable{4}))); },
                                 "an input that cannot be decoded"),
                   "not to be read", "the sentence of what cannot be decoded");
    thrown<Error>([&] { get(remote<read_it>(on(rank), Unreadable{4})); },
                  "an argument that cannot be decoded");
    check_contains(thrown<Error>([&] { get(remote<make_unwritable>(on(rank))); },
                                 "a result that cannot be encoded"),
                   "not to be written", "the sentence of what cannot be encoded");
    check_contains(thrown<TaskError>([&] { get(remote<write_it>(on(rank), put(Unwritable{1}))); },
                                     "an input that cannot be encoded"),
                   "not to be written", "the sentence of an input");
    check_contains(thrown<Error>([&] { get(remote<write_it>(on(rank), Unwritable{1})); },
                                 "an argument that cannot be encoded"),
                   "not to be written", "the sentence of an argument");
    check_equal(get(remote<first_step>(on(rank), 3)), 3, "a task after all these failures");
}

struct Keeper {
    explicit Keeper(const Unwritable&) {}
    explicit Keeper(const Unreadable&) {}
    int value(int n) { return n; }
};

/// An actor whose constructor never gets its arguments is dead, not awaited for ever.
void actors(unsigned rank) {
    if (rank == 0) return;  // on one rank nothing is encoded
    const ActorOptions there{.placement = Placement::on_rank(rank)};
    const auto unsent = spawn<Keeper>(there, Unwritable{1});
    check_contains(thrown<TaskError>([&] { get(unsent.ready()); }, "an actor that was not sent"),
                   "not to be written", "why it was not");
    check_contains(thrown<ActorDied>([&] { get(unsent.call<&Keeper::value>(1)); }, "its method"),
                   "not to be written", "the sentence of its method");
    const auto unread = spawn<Keeper>(there, Unreadable{1});
    check_contains(thrown<TaskError>([&] { get(unread.ready()); }, "an actor that was not read"),
                   "not to be read", "why it was not");
    check_contains(thrown<ActorDied>([&] { get(unread.call<&Keeper::value>(1)); }, "its method"),
                   "not to be read", "the sentence of its method");
}

/// What names nothing is refused with a sentence.
void nothing() {
    const Ref<int> none;
    check(!none.valid() && !none.done(), "a Ref that names nothing is valid or done");
    const std::string got = thrown<BadInput>([&] { get(none); }, "get of nothing");
    check_contains(got, "names nothing", "the sentence of get");
    thrown<BadInput>([&] { view(none); }, "a view of nothing");
    thrown<BadInput>([&] { get(std::vector{put(1), none}); }, "get of many with nothing");
    thrown<BadInput>([&] { wait(std::vector{none}); }, "waiting for nothing");
    thrown<BadInput>([&] { static_cast<void>(as_completed(std::vector{none})); },
                     "arrivals of nothing");
    thrown<BadInput>([&] { remote<first_step>(none); }, "an argument that names nothing");
    cancel(none);
    const Actor<Keeper> nobody;
    thrown<BadInput>([&] { nobody.call<&Keeper::value>(1); }, "a call of nobody");
    thrown<BadInput>([&] { kill(nobody); }, "killing nobody");
}

int driver(Job& job) {
    nothing();
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        one(rank);
        chains(rank);
        values(rank);
        actors(rank);
        // Tasks that failed and that nobody asks for are no trouble.
        for (int i = 0; i < 100; ++i) static_cast<void>(remote<boom>(on(rank), i));
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
