// SPDX-License-Identifier: Apache-2.0
// Goal: the network of a rank goes on whatever that code of the user's does which the engine calls
// by itself: to encode a value, to destroy it, to tell its size. Method: a record has the engine
// call such code on a rank, where it stands still until a task has run there that comes after the
// record. A rank whose network stands still with it never hears of that task. Argument: the one
// case to try.
#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

// ---- a door on every rank ----

std::atomic<bool> closed{false};
std::atomic<int> times_opened{0};
std::atomic<int> at_door{0};   // how many stood before the door since it was closed
std::atomic<int> shut_out{0};  // before which it was never opened

/// Not by await(), which gives the worker to others: this is what a long computation does.
void pass_door() noexcept {
    if (!closed.load()) return;
    const int opened_before = times_opened.load();
    ++at_door;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(15);
    while (closed.load() && times_opened.load() == opened_before) {
        if (std::chrono::steady_clock::now() > end) {
            ++shut_out;
            return;
        }
    }
}
int close_door() {
    at_door = 0;
    closed = true;
    return 1;
}
/// Nobody hears of it where the network stands still.
int await_visitor() {
    await([] { return at_door.load() != 0; }, "somebody at the door");
    return 1;
}
int open_door() {
    ++times_opened;
    closed = false;
    return 1;
}
int count_shut_out() { return shut_out.load(); }

int at_gate() { return wait_until_opened(); }

/// `trigger` sends a record to the rank for which the engine calls code of the user's.
template <class Trigger>
void at_closed_door(unsigned rank, const std::string& what, Trigger&& trigger) {
    opened = false;
    get(remote<close_door>(on(rank)));
    trigger();
    get(remote<await_visitor>(on(rank)));
    get(remote<open_door>(on(rank)));
    check_equal(get(remote<count_shut_out>(on(rank))), 0, "those shut out: " + what);
}

// ---- values ----

/// Its encoding and its end pass the door.
struct Stubborn {
    int number = 0;
    std::string text;

    Stubborn() = default;
    Stubborn(int n, std::size_t bytes) : number(n), text(bytes, 'x') {}
    Stubborn(const Stubborn&) = default;
    Stubborn(Stubborn&& other) noexcept
        : number(std::exchange(other.number, 0)), text(std::move(other.text)) {}
    Stubborn& operator=(const Stubborn&) = delete;
    Stubborn& operator=(Stubborn&&) = delete;
    ~Stubborn() {
        if (number != 0) pass_door();
    }
    template <class Archive>
    void save(Archive& archive) const {
        pass_door();
        archive(number, text);
    }
    template <class Archive>
    void load(Archive& archive) {
        archive(number, text);
    }
};

/// A container of the user's: its size passes the door too.
struct Sized : Stubborn {
    using value_type = char;
    using Stubborn::Stubborn;
    [[nodiscard]] std::size_t size() const {
        pass_door();
        return text.size();
    }
};

constexpr std::size_t small = 10;      // goes along with a reference to it
constexpr std::size_t medium = 3000;   // goes in a message of its own
constexpr std::size_t large = 10'000;  // stays where it was made until it is fetched

template <class S>
std::vector<Ref<S>> make_objects(std::size_t bytes) {
    return {put(S(7, bytes))};
}
template <class S>
S make(std::size_t bytes) {
    return S(7, bytes);
}
template <class S>
S make_at_gate(std::size_t bytes) {
    wait_until_opened();
    return S(7, bytes);
}
int open_gate() {
    opened = true;
    return 1;
}
int close_gate() {
    opened = false;
    return 1;
}
template <class S>
std::vector<Ref<S>> kept;
template <class S>
std::vector<Ref<S>> make_later(std::size_t bytes) {
    return kept<S> = {remote<make_at_gate<S>>(on(rank()), bytes)};
}
/// So that no other rank asks for it.
template <class S>
int await_kept() {
    wait(kept<S>, 1);
    kept<S>.clear();
    return 1;
}
template <class S>
int sum(const S& value) {
    return value.number + static_cast<int>(value.text.size());
}
template <class S>
int sum_with(const S& value, int more) {
    return sum(value) + more;
}
template <class S>
int sum_at_gate(const S& value) {
    wait_until_opened();
    return sum(value);
}
template <class S>
int wait_for_one(std::vector<Ref<S>> refs) {
    return static_cast<int>(wait(refs, 1).done.size());
}

/// An object of the rank that became ready after a reference to it was given here.
template <class S>
std::vector<Ref<S>> ready_by_now(unsigned rank, std::size_t bytes) {
    get(remote<close_gate>(on(rank)));
    std::vector<Ref<S>> refs = get(remote<make_later<S>>(on(rank), bytes));
    get(remote<open_gate>(on(rank)));
    get(remote<await_kept<S>>(on(rank)));
    return refs;
}

// ---- encoding ----

template <class S>
void answer_to_fetch(unsigned rank) {
    const std::vector<Ref<S>> refs = get(remote<make_objects<S>>(on(rank), medium));
    Ref<int> got;
    at_closed_door(rank, "the answer to a fetch", [&] { got = remote<sum<S>>(on(0), refs[0]); });
    check_equal(get(got), 7 + static_cast<int>(medium), "the sum of what was fetched");
}

template <class S>
void answer_to_subscription(unsigned rank) {
    for (const std::size_t bytes : {small, medium, large}) {
        const std::vector<Ref<S>> refs = ready_by_now<S>(rank, bytes);
        Ref<int> got;
        at_closed_door(rank, "the answer to a subscription",
                       [&] { got = remote<sum<S>>(on(0), refs[0]); });
        check_equal(get(got), 7 + static_cast<int>(bytes), "the sum of what was asked for");
    }
}

template <class S>
std::vector<Ref<int>> submit_with_late_input(std::size_t bytes) {
    const Ref<int> late = remote<at_gate>(on(0));
    return {remote<sum_with<S>>(on(0), S(7, bytes), late)};
}
template <class S>
std::vector<Ref<int>> submit_anywhere(std::size_t bytes) {
    const Ref<int> late = remote<at_gate>(on(0));
    return {remote<sum_with<S>>(put(S(7, bytes)), late)};
}
template <class S>
std::vector<Ref<int>> submit_with_object(std::size_t bytes) {
    const Ref<int> late = remote<at_gate>(on(0));
    return {remote<sum_with<S>>(on(0), put(S(7, bytes)), late)};
}

template <class S>
void sending_of_tasks(unsigned rank) {
    const auto submitted = [&](auto submit, std::size_t bytes) {
        opened = false;
        const std::vector<Ref<int>> sums = submit(bytes);
        at_closed_door(rank, "the sending of a task", [] { opened = true; });
        check_equal(get(sums[0]), 8 + static_cast<int>(bytes), "the sum of a task's argument");
    };
    for (const std::size_t bytes : {small, medium, large}) {
        submitted(
            [&](std::size_t n) { return get(remote<submit_with_late_input<S>>(on(rank), n)); },
            bytes);
    }
    submitted([&](std::size_t n) { return get(remote<submit_with_object<S>>(on(rank), n)); },
              small);
}

/// To choose a rank by the sizes of its inputs.
void placing_of_tasks(unsigned rank) {
    opened = false;
    const std::vector<Ref<int>> sums = get(remote<submit_anywhere<Sized>>(on(rank), medium));
    at_closed_door(rank, "the placing of a task", [] { opened = true; });
    check_equal(get(sums[0]), 8 + static_cast<int>(medium), "the sum of a placed task");
}

struct Keeper {
    std::vector<int> numbers;
    int add(const Stubborn& value, int) {
        numbers.push_back(value.number);
        return static_cast<int>(numbers.size());
    }
    int add_number(int number) {
        numbers.push_back(number);
        return static_cast<int>(numbers.size());
    }
    std::vector<int> all() { return numbers; }
};

/// Some wait for their inputs, some have nothing of the user's in them; they leave in their order.
std::vector<Ref<int>> call_with_late_input(Actor<Keeper> keeper) {
    const Ref<int> late = remote<at_gate>(on(0));
    std::vector<Ref<int>> places;
    for (int i = 1; i <= 20; i += 2) {
        places.push_back(keeper.call<&Keeper::add>(Stubborn(i, small), late));
        places.push_back(keeper.call<&Keeper::add_number>(i + 1));
    }
    return places;
}

void sending_of_calls(unsigned rank) {
    opened = false;
    Actor<Keeper> keeper = spawn<Keeper>({.placement = Placement::on_rank(0)});
    const std::vector<Ref<int>> places = get(remote<call_with_late_input>(on(rank), keeper));
    at_closed_door(rank, "the sending of calls", [] { opened = true; });
    int place = 0;
    for (const Ref<int>& each : places) check_equal(get(each), ++place, "the place of a call");
    int number = 0;
    for (const int each : get(keeper.call<&Keeper::all>())) {
        check_equal(each, ++number, "the number that came then");
    }
}

/// What is cancelled before it went is not run, and all is told.
void cancelled_before_it_went(unsigned rank) {
    opened = false;
    const std::vector<Ref<int>> sums =
        get(remote<submit_with_late_input<Stubborn>>(on(rank), small));
    at_closed_door(rank, "the sending of a task that is cancelled meanwhile", [&] {
        opened = true;
        get(remote<await_visitor>(on(rank)));
        cancel(sums[0]);
    });
    try {
        check_equal(get(sums[0]), 8 + static_cast<int>(small), "the sum of what was cancelled");
    } catch (const Cancelled&) {
    }
}

// ---- sizes ----

void answer_to_waiter(unsigned rank) {
    const std::vector<Ref<Sized>> refs = ready_by_now<Sized>(rank, medium);
    Ref<int> ready;
    at_closed_door(rank, "the place of an object",
                   [&] { ready = remote<wait_for_one<Sized>>(on(0), refs); });
    check_equal(get(ready), 1, "the objects that are ready");
}

// ---- ends ----

std::vector<Ref<int>> submit_at_once(std::size_t bytes) {
    return {remote<sum_at_gate<Stubborn>>(on(0), Stubborn(7, bytes))};
}

void end_of_arguments(unsigned rank) {
    opened = false;
    const std::vector<Ref<int>> sums = get(remote<submit_at_once>(on(rank), medium));
    at_closed_door(rank, "the end of a task's arguments", [] { opened = true; });
    check_equal(get(sums[0]), 7 + static_cast<int>(medium), "the sum");
}

void end_of_an_object(unsigned rank) {
    std::vector<Ref<Stubborn>> refs = get(remote<make_objects<Stubborn>>(on(rank), medium));
    at_closed_door(rank, "the end of a released object", [&] { refs.clear(); });
}

void end_of_a_copy(unsigned rank) {
    std::vector<Ref<Stubborn>> refs{remote<make<Stubborn>>(on(rank), large)};
    wait(refs, 1);
    at_closed_door(rank, "the end of a value that was kept for its owner", [&] { refs.clear(); });
}

struct Angry : std::runtime_error {
    using std::runtime_error::runtime_error;
    ~Angry() override { pass_door(); }
};
int throw_angry() { throw Angry("angry"); }
std::vector<Ref<int>> fail_one() {
    const Ref<int> failed = remote<throw_angry>(on(rank()));
    try {
        get(failed);
    } catch (const TaskError&) {
    }
    return {failed};
}

void end_of_an_exception(unsigned rank) {
    std::vector<Ref<int>> refs = get(remote<fail_one>(on(rank)));
    at_closed_door(rank, "the end of an exception", [&] { refs.clear(); });
}

struct Case {
    std::string name;
    void (*run)(unsigned rank);
};
const std::vector<Case> cases{
    {"fetch", &answer_to_fetch<Stubborn>},
    {"fetch_sized", &answer_to_fetch<Sized>},
    {"subscription", &answer_to_subscription<Stubborn>},
    {"subscription_sized", &answer_to_subscription<Sized>},
    {"tasks", &sending_of_tasks<Stubborn>},
    {"tasks_sized", &sending_of_tasks<Sized>},
    {"calls", &sending_of_calls},
    {"cancelled", &cancelled_before_it_went},
    {"placing", &placing_of_tasks},
    {"waiter", &answer_to_waiter},
    {"arguments", &end_of_arguments},
    {"object", &end_of_an_object},
    {"copy", &end_of_a_copy},
    {"exception", &end_of_an_exception},
};

int driver(Job& job) {
    const std::string only = job.arguments.size() > 1 ? job.arguments[1] : "";
    for (unsigned rank = 1; rank < job.ranks; ++rank) {
        for (const Case& each : cases) {
            if (only.empty() || each.name == only) each.run(rank);
        }
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
