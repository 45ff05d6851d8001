// SPDX-License-Identifier: Apache-2.0
// Goal: code of the user's never runs while the network is driven, so that a rank hears and answers
// however long such code takes. Method: values whose decoding stands still until another task has
// run on the same rank, which no rank can run whose network stands still with it.
#include <atomic>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

int open_door() {
    opened.store(true);
    return 1;
}
int close_door() {
    opened.store(false);
    return 1;
}
void await_opening() {
    // Not by await(), which gives the worker to others: this is what a long computation does.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!opened.load()) {
        if (std::chrono::steady_clock::now() > end) throw Error("the door was not opened in 20 s");
    }
}

/// Decodes only once the door is open.
struct Stubborn {
    int number = 0;
    std::string text;
    Ref<int> ref;
    Array<double> array;

    template <class Archive>
    void save(Archive& archive) const {
        archive(number, text, ref, array);
    }
    template <class Archive>
    void load(Archive& archive) {
        archive(number, text, ref, array);
        await_opening();
    }
};

Stubborn stubborn(int number, std::size_t text_bytes, std::size_t elements) {
    Stubborn value{number, std::string(text_bytes, 'x'), put(number), {}};
    if (elements != 0) {
        Array<double> array({elements});
        for (std::size_t i = 0; i < elements; ++i) array.mutable_data()[i] = number;
        value.array = std::move(array);
    }
    return value;
}
int sum(const Stubborn& value) {
    return value.number + get(value.ref) + static_cast<int>(value.text.size()) +
           (value.array.size() == 0 ? 0 : static_cast<int>(value.array[value.array.size() - 1]));
}
int sum_with(const Stubborn& value, int more, const std::string& text) {
    return sum(value) + more + static_cast<int>(text.size());
}

struct Keeper {
    explicit Keeper(const Stubborn& value) : kept(sum(value)) {}
    int add(const Stubborn& value) { return kept += sum(value); }
    int kept;
};

/// Something given by value that holds `text_bytes` and `elements` in blocks of their own or not.
void arguments(unsigned rank, std::size_t text_bytes, std::size_t elements) {
    const int one = 2 * 7 + static_cast<int>(text_bytes) + (elements == 0 ? 0 : 7);
    get(remote<close_door>(on(rank)));
    const Ref<int> task = remote<sum>(on(rank), stubborn(7, text_bytes, elements));
    const Ref<int> with_ref = remote<sum_with>(on(rank), stubborn(7, text_bytes, elements),
                                               remote<open_door>(on(rank)), std::string("four"));
    get(remote<open_door>(on(rank)));
    check_equal(get(task), one, "the sum of an argument that decodes slowly");
    check_equal(get(with_ref), one + 1 + 4, "the sum of several arguments");
}

void actor(unsigned rank) {
    get(remote<close_door>(on(rank)));
    const Actor<Keeper> keeper =
        spawn<Keeper>({.placement = Placement::on_rank(rank)}, stubborn(3, 10, 0));
    const Ref<int> first = keeper.call<&Keeper::add>(stubborn(5, 0, 0));
    const Ref<int> second = keeper.call<&Keeper::add>(stubborn(6, 40000, 20000));
    get(remote<open_door>(on(rank)));
    check_equal(get(first), 6 + 10 + 10, "an actor's first sum");
    check_equal(get(second), 26 + 18 + 40000, "an actor's second sum");
}

/// What is cancelled before it begins is not decoded, and its references go back.
void cancelled(unsigned rank) {
    get(remote<open_door>(on(rank)));
    std::vector<Ref<int>> waiting;
    for (int i = 0; i < 20; ++i) waiting.push_back(remote<sum>(on(rank), stubborn(i, 100, 0)));
    for (const auto& one : waiting) cancel(one);
    for (const auto& one : waiting) {
        try {
            get(one);
        } catch (const Cancelled&) {
        }
    }
}

struct Broken {
    std::string text;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(text);
        if (Archive::is_loading::value) throw std::runtime_error("not to be read");
    }
};
std::atomic<int> broken_runs{0};
int run_broken(const std::string&, const Broken&, const std::vector<std::string>&) {
    return ++broken_runs;
}
int runs_of_broken() { return broken_runs.load(); }
struct BrokenActor {
    explicit BrokenActor(const Broken&) {}
    int answer(const Broken&) { return 42; }
    int other() { return 43; }
};

void what_cannot_be_decoded(unsigned rank) {
    const std::vector<std::string> more(3, "more");
    TaskOptions options = on(rank);
    options.retry_exceptions = true;
    options.max_retries = 3;
    const std::string why = thrown<TaskError>(
        [&] { get(remote<run_broken>(options, std::string("before"), Broken{"b"}, more)); },
        "an argument that cannot be decoded");
    check_contains(why, "not to be read", "the sentence");
    check_equal(get(remote<runs_of_broken>(on(rank))), 0, "the runs without an argument");
    const Placement there = Placement::on_rank(rank);
    const Actor<BrokenActor> never = spawn<BrokenActor>({.placement = there}, Broken{"b"});
    check_contains(thrown<ActorDied>([&] { get(never.call<&BrokenActor::other>()); },
                                     "an actor that was not constructed"),
                   "not to be read", "the sentence of the constructor");
}

std::string echo(const std::string& text) { return text; }
int until_opened() {
    while (!opened.load()) mobula::yield();
    return 1;
}

/// Submits tasks, or waits, between its members while it is encoded.
struct Talkative {
    enum Habit : int { submits, gets, finds, yields } habit = submits;
    unsigned to = 0;
    std::vector<long> numbers{1, 2, 3};
    std::string text = "the end";

    template <class Archive>
    void save(Archive& archive) const {
        archive(static_cast<int>(habit), to);
        talk();
        archive(numbers);
        talk();
        archive(text);
    }
    template <class Archive>
    void load(Archive& archive) {
        int number = 0;
        archive(number, to, numbers, text);
        habit = static_cast<Habit>(number);
    }

private:
    void talk() const {
        for (const std::size_t bytes : {1U, 2000U, 100000U}) {
            static_cast<void>(remote<echo>(on(to), std::string(bytes, 'z')));
        }
        if (habit == gets) get(remote<until_opened>(on(to)));
        if (habit == finds) static_cast<void>(find<Keeper>("nobody"));
        if (habit == yields) mobula::yield();
    }
};
Talkative talkative(Talkative::Habit habit, unsigned to) {
    return {habit, to, {1, 2, 3}, "the end"};
}
bool is_whole(const Talkative& value) {
    return value.numbers == std::vector<long>{1, 2, 3} && value.text == "the end";
}

void encoded_between_submissions(unsigned rank) {
    for (unsigned to = 0; to < ranks(); ++to) {
        for (const auto habit : {Talkative::submits, Talkative::yields}) {
            const Talkative value = talkative(habit, to);
            check(get(remote<is_whole>(on(rank), value)), "an argument that submits has changed");
            check(is_whole(get(remote<talkative>(on(rank), habit, to))), "a result has changed");
            check(get(remote<is_whole>(on(rank), put(value))), "an object has changed");
        }
        get(remote<close_door>(on(to)));
        for (const auto habit : {Talkative::gets, Talkative::finds}) {
            const std::string why = thrown<TaskError>(
                [&] { get(remote<is_whole>(on(rank), talkative(habit, to))); }, "a wait");
            check_contains(why, "must not wait", "why a value that waits is not encoded");
        }
        get(remote<open_door>(on(to)));
    }
}

int driver(Job& job) {
    for (unsigned rank = job.ranks; rank-- > 0;) {
        if (rank == mobula::rank()) continue;  // nothing is decoded there
        for (const std::size_t text_bytes : {10U, 5000U, 100000U}) {
            for (const std::size_t elements : {0U, 10U, 20000U}) {
                arguments(rank, text_bytes, elements);
            }
        }
        actor(rank);
        cancelled(rank);
        what_cannot_be_decoded(rank);
        encoded_between_submissions(rank);
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
