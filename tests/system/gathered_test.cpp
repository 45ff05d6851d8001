// SPDX-License-Identifier: Apache-2.0
// Goal: many Refs given for a parameter that is a vector or a span are inputs of the task as one
// Ref is: it starts when all exist, has their values in their order, fails with one that failed,
// and lets them go. Method: values small and large, ready and pending, made on every rank, go into
// functions, methods and constructors on every rank; instances of a class are counted.
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

/// Counts its instances on this rank.
struct Counted {
    static inline std::atomic<long> alive{0};
    int value = 0;
    std::string padding;

    Counted() { ++alive; }
    explicit Counted(int v, std::size_t bytes = 0) : value(v), padding(bytes, 'p') { ++alive; }
    Counted(const Counted& other) : value(other.value), padding(other.padding) { ++alive; }
    Counted(Counted&& other) noexcept : value(other.value), padding(std::move(other.padding)) {
        ++alive;
    }
    Counted& operator=(const Counted&) = default;
    ~Counted() { --alive; }
    template <class Archive>
    void serialize(Archive& archive) {
        archive(value, padding);
    }
};
long alive_here() { return Counted::alive.load(); }
Counted make(int value, std::size_t bytes) { return Counted(value, bytes); }
int one_more(int n) { return n + 1; }
int fails(int n) { throw std::out_of_range("number " + std::to_string(n)); }

/// Different for every order.
long digits(std::span<const Counted> values) {
    long number = 0;
    for (const Counted& each : values) {
        check(each.padding == std::string(each.padding.size(), 'p'), "a value is not whole");
        number = 10 * number + each.value;
    }
    return number;
}
long of_vector(std::vector<Counted> values) { return digits(values); }
long of_reference(const std::vector<Counted>& values) { return digits(values); }
long of_span(std::span<const Counted> values) { return digits(values); }
std::string join(const std::string& between, std::span<const std::string> texts, int times) {
    std::string joined;
    for (int i = 0; i < times; ++i) {
        for (const std::string& text : texts) joined += text + between;
    }
    return joined;
}
long sum(std::span<const int> numbers) {
    return std::accumulate(numbers.begin(), numbers.end(), 0L);
}
long count_set(std::vector<bool> flags) { return std::count(flags.begin(), flags.end(), true); }
long sum_of_moved(std::vector<std::unique_ptr<int>> numbers) {
    long total = 0;
    for (const auto& number : numbers) total += *number;
    return total;
}
std::size_t total_size(const std::vector<Array<char>>& arrays) {
    std::size_t size = 0;
    for (const Array<char>& array : arrays) size += array.size();
    return size;
}
/// References that travel, beside those that are waited for.
long both(const std::vector<Ref<int>>& refs, const std::vector<int>& values) {
    long total = 0;
    for (std::size_t i = 0; i < refs.size(); ++i) total += 100 * get(refs[i]) + values[i];
    return total;
}
Generator<int> each_of(std::span<const int> numbers) {
    for (const int number : numbers) co_yield number;
}

/// One of the value 1 to 5 from each kind of place.
std::vector<Ref<Counted>> made_everywhere(unsigned first, std::size_t bytes) {
    const unsigned next = (first + 1) % ranks();
    const Ref<Counted> ready = remote<make>(on(next), 3, bytes);
    static_cast<void>(wait(std::vector{ready}));
    return {remote<make>(on(first), 1, bytes), put(Counted(2, bytes)), ready,
            remote<make>(on(next), 4, bytes), remote<make>(5, bytes)};
}

void values_in_order(unsigned rank) {
    for (const std::size_t bytes : {0UL, 500UL, 300'000UL}) {
        const auto refs = made_everywhere(rank, bytes);
        check_equal(get(remote<of_vector>(on(rank), refs)), 12345, "a vector");
        check_equal(get(remote<of_reference>(on(rank), refs)), 12345, "a vector by reference");
        check_equal(get(remote<of_span>(on(rank), refs)), 12345, "a span");
        check_equal(get(remote<of_span>(refs)), 12345, "a span on any rank");
        check_equal(get(remote<of_vector>(on(rank), made_everywhere(rank, bytes))), 12345,
                    "a vector of what nobody else has");
        const std::array again{refs[1], refs[0], refs[1], refs[1]};
        check_equal(get(remote<of_vector>(on(rank), again)), 2122, "the same Ref three times");
        const auto slice = std::span(refs).subspan(1, 3);
        check_equal(get(remote<of_reference>(on(rank), slice)), 234, "a slice of Refs");
    }
    const std::vector<Ref<Counted>> none;
    check_equal(get(remote<of_vector>(on(rank), none)), 0, "an empty vector");
    check_equal(get(remote<of_span>(on(rank), none)), 0, "an empty span");
}

void other_kinds(unsigned rank) {
    const std::vector<Ref<std::string>> texts{put(std::string("a")), put(std::string(2000, 'b'))};
    check_equal(get(remote<join>(on(rank), put(std::string("-")), texts, 2)),
                "a-" + std::string(2000, 'b') + "-a-" + std::string(2000, 'b') + "-",
                "between other arguments");
    check_equal(get(remote<count_set>(on(rank), std::vector{put(true), put(false), put(true)})), 2,
                "a vector of bool");
    const std::vector<Ref<Array<char>>> arrays{put(Array<char>({100'000})), put(Array<char>({10}))};
    check_equal(get(remote<total_size>(on(rank), arrays)), 100'010U, "Arrays");
    const std::vector<Ref<int>> numbers{put(1), remote<one_more>(on(rank), 1)};
    check_equal(get(remote<both>(on(rank), numbers, numbers)), 303, "Refs that travel, and others");
    const std::vector<int> ten(10, 3);
    const Ref<std::vector<int>> ref = put(ten);
    check_equal(get(remote<sum>(on(rank), ten)), 30, "a vector for a span");
    check_equal(get(remote<sum>(on(rank), std::span(ten).first(4))), 12, "a span for a span");
    check_equal(get(remote<sum>(on(rank), ref)), 30, "a Ref to a vector for a span");
    long streamed = 0;
    for (const Ref<int>& item : remote<each_of>(on(rank), numbers)) streamed += get(item);
    check_equal(streamed, 3, "a generator of a span");
    std::vector<Ref<int>> many;
    for (int i = 0; i < 20'000; ++i) many.push_back(put(1));
    check_equal(get(remote<sum>(on(rank), many)), 20'000, "very many");
}

void moved_once(unsigned rank) {
    const auto number = [](int n) { return put(std::make_unique<int>(n)); };
    check_equal(get(remote<sum_of_moved>(on(rank), std::vector{number(1), number(2)})), 3,
                "what can only be moved");
    const auto twice = number(1);
    const std::string text = thrown<TaskError>(
        [&] {
            get(remote<sum_of_moved>(on(rank), std::vector{twice, twice}));
        },
        "what can only be moved, twice");
    check_contains(text, "was moved out already", "the second move");
}

void starts_when_all_exist(unsigned rank) {
    opened = false;
    const Ref<int> late = remote<wait_until_opened>(on(0));
    const Ref<long> total = remote<sum>(on(rank), std::vector{put(1), late, put(3)});
    const Ref<int> other = remote<one_more>(on(rank), 1);
    check_equal(get(other), 2, "another task");
    check(!total.done(), "a task began before all of its inputs were there");
    opened = true;
    check_equal(get(total), 5, "a task with a late input");
}

void failures(unsigned rank) {
    const std::vector<Ref<int>> refs{put(1), remote<fails>(on(rank), 7), remote<fails>(on(0), 7)};
    const Ref<long> total = remote<sum>(on(rank), refs);
    const std::string text = thrown<TaskError>([&] { get(total); }, "a failed input of many");
    check_contains(text, "fails", "the failure");
    check_contains(text, "number 7", "the failure");
    check_contains(text, "needed by", "the failure");
    check_contains(text, "sum", "the failure");

    std::vector<Ref<int>> unnamed(4, put(1));
    unnamed[2] = {};
    const std::string index = thrown<BadInput>(
        [&] { static_cast<void>(remote<sum>(on(rank), unnamed)); }, "a Ref that names nothing");
    check_contains(index, "of its 4 Refs the one at index 2", "the sentence of it");
}

void cancelling(unsigned rank) {
    const Ref<int> never = remote<run_until_cancelled>(on(rank));
    const Ref<long> total = remote<sum>(on(rank), std::vector{never, put(1)});
    const Ref<long> other = remote<sum>(on(rank), std::vector{put(1), never});
    cancel(total);
    thrown<Cancelled>([&] { get(total); }, "a cancelled task that waited for many");
    check(!never.done() && !other.done(), "what another task waits for was cancelled with it");
    cancel(never);
    thrown<Cancelled>([&] { get(other); }, "a task with a cancelled input");
}

/// Throws in its first two attempts on this rank.
std::atomic<int> attempts{0};
template <class Values>
long flaky(Values values) {
    if (++attempts % 3 != 0) throw std::runtime_error("not yet");
    return digits(values);
}
void again(unsigned rank) {
    const TaskOptions options{
        .max_retries = 5, .retry_exceptions = true, .placement = Placement::on_rank(rank)};
    for (const std::size_t bytes : {0UL, 300'000UL}) {
        const auto refs = [&] { return made_everywhere(rank, bytes); };
        check_equal(get(remote<flaky<std::vector<Counted>>>(options, refs())), 12345,
                    "a third attempt with a vector");
        check_equal(get(remote<flaky<const std::vector<Counted>&>>(options, refs())), 12345,
                    "a third attempt with a reference");
        check_equal(get(remote<flaky<std::span<const Counted>>>(options, refs())), 12345,
                    "a third attempt with a span");
    }
}
/// What can only be moved is kept for the next attempt.
long flaky_moved(const std::vector<std::unique_ptr<int>>& numbers) {
    if (++attempts % 3 != 0) throw std::runtime_error("not yet");
    return *numbers.at(0) + *numbers.at(1);
}
void moved_again(unsigned rank) {
    const TaskOptions options{
        .max_retries = 5, .retry_exceptions = true, .placement = Placement::on_rank(rank)};
    const std::vector numbers{put(std::make_unique<int>(4)), put(std::make_unique<int>(5))};
    check_equal(get(remote<flaky_moved>(options, numbers)), 9, "a third attempt with what moves");
}

struct Sums {
    long total = 0;
    Sums(int start, std::span<const int> numbers) : total(start + sum(numbers)) {}
    long add(const std::vector<int>& numbers) { return total += sum(numbers); }
    long add_span(std::span<const int> numbers) { return total += sum(numbers); }
};
struct OfValues {
    std::vector<int> kept;
    explicit OfValues(std::vector<int> numbers) : kept(std::move(numbers)) {}
    long total() const { return sum(kept); }
};
/// Takes both, and so gets the references, as it did before there was another way.
struct OfRefs {
    std::vector<Ref<int>> kept;
    explicit OfRefs(std::vector<Ref<int>> refs) : kept(std::move(refs)) {}
    explicit OfRefs(const std::vector<int>& numbers) : kept(numbers.size(), put(1000)) {}
    long total() const {
        long all = 0;
        for (const int number : get(kept)) all += number;
        return all;
    }
};
void actors(unsigned rank) {
    const ActorOptions there{.placement = Placement::on_rank(rank)};
    const std::vector<Ref<int>> numbers{put(1), remote<one_more>(on(rank), 1),
                                        remote<one_more>(on(0), 2)};
    const auto sums = spawn<Sums>(there, put(10), numbers);
    const Ref<long> first = sums.call<&Sums::add>(numbers);
    const Ref<long> second = sums.call<&Sums::add_span>(std::vector<Ref<int>>{numbers[2]});
    check_equal(get(second), 25, "an actor's sum");
    check_equal(get(first), 22, "an actor's sum before");
    check_equal(get(spawn<OfValues>(there, numbers).call<&OfValues::total>()), 6,
                "a constructor of values");
    check_equal(get(spawn<OfRefs>(there, numbers).call<&OfRefs::total>()), 6,
                "a constructor of references");
    const auto failed = spawn<OfValues>(there, std::vector{put(1), remote<fails>(on(rank), 8)});
    const std::string text = thrown<ActorDied>([&] { get(failed.call<&OfValues::total>()); },
                                               "a constructor with a failed input");
    check_contains(text, "number 8", "why the actor died");
}

void all_freed() {
    for (unsigned rank = 0; rank < ranks(); ++rank) {
        await([&] { return get(remote<alive_here>(on(rank))) == 0; },
              "that all instances are freed on rank " + std::to_string(rank));
    }
}

int driver(Job& job) {
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        values_in_order(rank);
        other_kinds(rank);
        moved_once(rank);
        starts_when_all_exist(rank);
        failures(rank);
        cancelling(rank);
        again(rank);
        moved_again(rank);
        actors(rank);
        all_freed();
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
