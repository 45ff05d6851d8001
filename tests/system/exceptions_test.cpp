// SPDX-License-Identifier: Apache-2.0
// Goal: of an exception that a task throws everything arrives that can be kept, and what it is
// caught as does not depend on the rank that ran the task. Method: every kind of exception, thrown
// on every rank by tasks, generators and constructors, caught in every way.
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

// ---- exceptions that travel ----

/// With members, a text of its own and a place in a family.
struct SimulationError : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct Diverged : SimulationError {
    using SimulationError::SimulationError;
    int step = 0;
    std::vector<double> last;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(step, last);
    }
};
/// Makes its text itself, and not of a string.
struct NotFound : std::exception {
    explicit NotFound(int given = 0) : number(given), text("no " + std::to_string(given)) {}
    [[nodiscard]] const char* what() const noexcept override { return text.c_str(); }
    template <class Archive>
    void serialize(Archive& archive) {
        archive(number);
    }
    int number;
    std::string text;
};
/// No std::exception, and nothing but bytes.
struct Code {
    explicit Code(int given) : number(given) {}
    int number;
};
struct OfTheEngine : Error {
    using Error::Error;
};
/// Cannot be written, or not be read, or holds what cannot be inside.
struct Stubborn : std::runtime_error {
    explicit Stubborn(const std::string& text, int how = 0) : runtime_error(text), fails(how) {}
    template <class Archive>
    void serialize(Archive& archive) {
        if (Archive::is_saving::value && fails == 1) throw std::runtime_error("not to be written");
        archive(fails);
        if (Archive::is_loading::value && fails == 2) throw std::runtime_error("not to be read");
        if (fails == 3) archive(held);
    }
    int fails;
    Ref<int> held;
};
/// Derived from one that travels, and does not itself.
struct Unnamed : Diverged {
    using Diverged::Diverged;
};

// In code that never runs: to be named is enough.
[[maybe_unused]] void names_what_travels() {
    travels<Diverged>();
    travels<NotFound>();
    travels<Code>();
    travels<OfTheEngine>();
    travels<Stubborn>();
    travels<std::out_of_range>();
}

int diverge(int step) {
    Diverged error("step " + std::to_string(step) + " diverged");
    error.step = step;
    error.last = {1.5, 2.5};
    throw error;
}
int not_find(int number) { throw NotFound(number); }
int give_code(int number) { throw Code(number); }
int fail_like_the_engine(int) { throw OfTheEngine("of the engine"); }
int refuse(int how) {
    Stubborn error("stubborn", how);
    if (how == 3) error.held = put(1);
    throw error;
}
int pass_range(int) { return std::vector<int>(3).at(5); }
int unnamed(int) { throw Unnamed("derived"); }
int diverge_nested(int step) {
    try {
        throw std::runtime_error("the pivot is zero");
    } catch (...) {
        Diverged error("diverged");
        error.step = step;
        std::throw_with_nested(error);
    }
}
void diverge_with_much(int) {
    Diverged error("much diverged");
    error.last.assign(200'000, 1.5);
    throw error;
}
int after(int n) { return n; }
Generator<int> yields_then_diverges(int items) {
    for (int i = 0; i < items; ++i) co_yield i;
    throw Diverged("the stream diverged");
}
struct Fragile {
    explicit Fragile(int step) { diverge(step); }
    int value() { return 1; }
};

/// The exception that `wanted` has to be caught as.
template <class E, class Action, class Check>
void caught_as(Action&& action, Check&& looks_right) {
    try {
        action();
    } catch (const E& error) {
        return looks_right(error);
    } catch (...) {
        fail(std::string("not caught as ") + typeid(E).name());
    }
    fail(std::string("nothing was thrown, wanted ") + typeid(E).name());
}
constexpr auto anything = [](const auto&) {};

void travelling(unsigned rank) {
    const Ref<int> diverged = remote<after>(remote<diverge>(on(rank), 7));
    const auto read = [&] { get(diverged); };
    // Twice, for the second reader of a failure is to see the same.
    for (int i = 0; i < 2; ++i) {
        caught_as<Diverged>(read, [&](const Diverged& error) {
            check_equal(error.step, 7, "a member of what travelled");
            check(error.last == std::vector{1.5, 2.5}, "a vector of what travelled is another");
            check_equal(std::string(error.what()), "step 7 diverged", "its own text");
            const auto* const task = dynamic_cast<const TaskError*>(&error);
            check(task != nullptr, "what travelled is no TaskError");
            check_equal(task->rank(), rank, "the rank of what travelled");
        });
        caught_as<SimulationError>(read, anything);
        caught_as<TaskError>(read, [&](const TaskError& error) {
            check_equal(error.message(), "step 7 diverged", "the message");
            check_equal(error.type(), "Diverged", "the type");
            check_equal(error.function(), "diverge", "the function");
            check_equal(error.rank(), rank, "the rank");
            check(error.chain() == std::vector<std::string>{"after"}, "the chain is another");
            check_equal(std::string(error.what()),
                        "diverge threw Diverged on rank " + std::to_string(rank) +
                            ": step 7 diverged; needed by after",
                        "the sentence");
        });
        caught_as<Error>(read, anything);
        caught_as<std::runtime_error>(read, anything);
        caught_as<std::exception>(read, [](const std::exception& error) {
            check_contains(error.what(), "needed by after", "what a std::exception says");
        });
    }
    caught_as<NotFound>([&] { get(remote<not_find>(on(rank), 4)); },
                        [](const NotFound& error) {
                            check_equal(error.number, 4, "the number");
                            check_equal(std::string(error.what()), "no 4",
                                        "a text of its own making");
                        });
    caught_as<Code>([&] { get(remote<give_code>(on(rank), 9)); },
                    [](const Code& code) { check_equal(code.number, 9, "a code"); });
    caught_as<std::exception>([&] { get(remote<give_code>(on(rank), 9)); }, anything);
    caught_as<OfTheEngine>([&] { get(remote<fail_like_the_engine>(on(rank), 1)); }, anything);
    caught_as<std::out_of_range>([&] { get(remote<pass_range>(on(rank), 1)); }, anything);
    caught_as<Diverged>([&] { get(remote<diverge_nested>(on(rank), 3)); },
                        [](const Diverged& error) { check_equal(error.step, 3, "nested around"); });
    check_contains(thrown<TaskError>([&] { get(remote<diverge_nested>(on(rank), 3)); }, "nested"),
                   "caused by std::runtime_error: the pivot is zero",
                   "the sentence of a nested one");
    // From a stream and from a constructor.
    caught_as<Diverged>(
        [&] {
            Stream<int> stream = remote<yields_then_diverges>(on(rank), 2);
            while (stream.next()) continue;
        },
        anything);
    const auto actor = spawn<Fragile>({.placement = Placement::on_rank(rank)}, 5);
    caught_as<Diverged>([&] { get(actor.ready()); }, anything);
    check_contains(thrown<ActorDied>([&] { get(actor.call<&Fragile::value>()); }, "a method"),
                   "step 5 diverged", "why the actor died");
}

/// What cannot be made again is a TaskError, and the same everywhere.
void not_travelling(unsigned rank) {
    const auto only_task_error = [&](auto&& action, const std::string& says) {
        try {
            action();
        } catch (const SimulationError&) {
            fail("caught as what was not named");
        } catch (const Stubborn&) {
            fail("caught as what cannot be made");
        } catch (const TaskError& error) {
            check_contains(error.what(), says, "the sentence");
        }
    };
    only_task_error([&] { get(remote<unnamed>(on(rank), 1)); }, "unnamed threw Unnamed on rank");
    only_task_error([&] { get(remote<refuse>(on(rank), 1)); }, "not to be written");
    only_task_error([&] { get(remote<diverge_with_much>(on(rank), 1)); }, "more than 1 MiB");
    only_task_error([&] { get(remote<refuse>(on(rank), 2)); }, "stubborn");
    only_task_error([&] { get(remote<refuse>(on(rank), 3)); }, "a reference or an Array");
    caught_as<Stubborn>([&] { get(remote<refuse>(on(rank), 4)); }, anything);
}

// ---- what is left of all others ----

int text(int) { throw std::string("disk 3 is full"); }
int literal(int) { throw "disk 4 is full"; }
int view(int) { throw std::string_view("disk 5 is full"); }
int number(int n) { throw n; }
int real(int) { throw 2.5; }
struct Silent : std::exception {
    [[nodiscard]] const char* what() const noexcept override { return nullptr; }
};
int silent(int) { throw Silent(); }
int null_text(int) { throw static_cast<const char*>(nullptr); }
struct Strange {
    std::vector<int> numbers;
};
int strange(int) { throw Strange{}; }
int nested(int depth) {
    if (depth == 0) throw std::string("the bottom");
    try {
        nested(depth - 1);
    } catch (...) {
        std::throw_with_nested(std::logic_error("level " + std::to_string(depth)));
    }
    return 0;
}
int nested_failure(int) {
    try {
        return get(remote<text>(1));
    } catch (...) {
        std::throw_with_nested(std::logic_error("while looking"));
    }
}
int code_of_system(int) {
    throw std::system_error(std::make_error_code(std::errc::no_space_on_device), "save");
}

template <auto function>
void says(unsigned rank, const std::string& type, const std::string& words) {
    try {
        get(remote<function>(on(rank), 3));
        fail("a task that throws gave a value");
    } catch (const TaskError& error) {
        check_equal(error.type(), type, "the type");
        check_contains(error.what(), "threw " + type + " on rank " + std::to_string(rank),
                       "the sentence");
        check_contains(error.what(), words, "the sentence");
        check_equal(error.cause() != nullptr, rank == mobula::rank(), "whether the cause is here");
    }
}

void others(unsigned rank) {
    says<text>(rank, "std::string", "disk 3 is full");
    says<literal>(rank, "const char*", "disk 4 is full");
    says<view>(rank, "std::string_view", "disk 5 is full");
    says<number>(rank, "int", ": 3");
    says<real>(rank, "double", ": 2.5");
    says<silent>(rank, "Silent", "");
    says<null_text>(rank, "const char*", "");
    says<strange>(rank, "Strange", "");
    says<code_of_system>(rank, "std::system_error", "save: ");
    says<nested>(rank, "std::logic_error",
                 "level 3; caused by std::logic_error: level 2; caused by std::logic_error: level "
                 "1; caused by std::string: the bottom");
    says<nested_failure>(rank, "std::logic_error", "text threw std::string on rank");
    try {
        get(remote<silent>(on(rank), 1));
    } catch (const TaskError& error) {
        check_equal(error.message(), "Silent", "the message of an exception without a text");
    }
    if (rank != mobula::rank()) return;
    try {
        get(remote<text>(on(rank), 1));
    } catch (const TaskError& error) {
        caught_as<std::string>([&] { std::rethrow_exception(error.cause()); },
                               [](const std::string& cause) {
                                   check_equal(cause, "disk 3 is full", "the cause itself");
                               });
    }
}

// ---- encoding and decoding ----

/// Throws in one direction.
template <bool reading>
struct Broken {
    int value = 0;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(value);
        if (Archive::is_loading::value == reading) throw std::runtime_error("broken");
    }
};
using Unreadable = Broken<true>;
using Unwritable = Broken<false>;
int read_it(const Unreadable& broken) { return broken.value; }
int take_it(Unreadable broken) { return broken.value; }
int write_it(const Unwritable& broken) { return broken.value; }
Unwritable make_unwritable() { return {}; }
Unreadable make_unreadable() { return {}; }
Generator<Unwritable> yield_unwritable() { co_yield Unwritable{}; }
int get_it(Ref<Unreadable> ref) { return get(ref).value; }

template <class Action>
void says_where(Action&& action, unsigned rank, const std::string& sentence) {
    try {
        action();
        fail("what cannot be encoded or decoded gave a value");
    } catch (const TaskError& error) {
        check_equal(
            std::string(error.what()),
            sentence + " threw std::runtime_error on rank " + std::to_string(rank) + ": broken",
            "the sentence");
        check_equal(error.rank(), rank, "the rank");
    }
}

void encoding(unsigned rank) {
    if (rank == 0) return;  // on one rank nothing is encoded
    says_where([&] { get(remote<read_it>(on(rank), put(Unreadable{1}))); }, rank,
               "decoding an argument of read_it");
    says_where([&] { get(remote<take_it>(on(rank), put(Unreadable{1}))); }, rank,
               "decoding an argument of take_it");
    says_where([&] { get(remote<read_it>(on(rank), Unreadable{1})); }, rank,
               "decoding an argument of read_it");
    says_where([&] { get(remote<write_it>(on(rank), Unwritable{1})); }, 0,
               "encoding an argument of write_it");
    says_where([&] { get(remote<make_unwritable>(on(rank))); }, rank,
               "encoding the result of make_unwritable");
    says_where([&] { get(remote<make_unreadable>(on(rank))); }, 0, "decoding an object");
    Stream<Unwritable> stream = remote<yield_unwritable>(on(rank));
    says_where([&] { static_cast<void>(stream.next()); }, rank,
               "encoding an item of yield_unwritable");
    const std::string got = thrown<TaskError>(
        [&] { get(remote<get_it>(on(rank), put(Unreadable{1}))); }, "a task that gets it");
    check_contains(got,
                   "decoding an object threw std::runtime_error on rank " + std::to_string(rank),
                   "the sentence");
    check_contains(got, "needed by get_it", "the sentence");
}

// ---- errors that are none of the user's ----

std::vector<char> make_huge(std::size_t bytes) {
    const Array<char> huge({bytes});
    return {huge.data(), huge.data() + 1};
}
int run_out_of_time(int) {
    const Ref<int> never = remote([] { return run_until_cancelled(); });
    const auto stop = [](const Ref<int>* ref) { cancel(*ref); };
    const std::unique_ptr<const Ref<int>, decltype(stop)> stopped(&never, stop);
    return get(never, std::chrono::milliseconds(1));
}

void of_the_engine(unsigned rank) {
    constexpr std::size_t too_much = std::size_t{1} << 50U;
    const std::string full =
        thrown<StoreFull>([&] { get(remote<make_huge>(on(rank), too_much)); }, "too large");
    check_contains(full, "make_huge failed: the object store of rank " + std::to_string(rank),
                   "the sentence of a full store");
    check_contains(thrown<TaskError>([&] { get(remote<run_out_of_time>(on(rank), 1)); }, "in time"),
                   "run_out_of_time threw mobula::Timeout on rank", "the sentence");
}

int driver(Job& job) {
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        travelling(rank);
        not_travelling(rank);
        others(rank);
        encoding(rank);
        of_the_engine(rank);
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
