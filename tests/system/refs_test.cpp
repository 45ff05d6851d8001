// SPDX-License-Identifier: Apache-2.0
// Goal: a Ref travels anywhere and keeps its object alive wherever it goes, and what nobody holds
// is freed on every rank. Method: Refs are passed on through ranks, containers, objects and actors
// while the driver lets go of its own. For freeing, instances of a class are counted on each rank,
// and Arrays are made that fill most of each rank's store: they fit only when nothing was left.
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

constexpr std::size_t array_bytes = 1'000'000;

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

Counted make(int value, std::size_t bytes) { return Counted(value, bytes); }
int value_of(const Counted& counted) { return counted.value; }
long alive_here() { return Counted::alive.load(); }
Array<char> make_bytes(std::size_t bytes) {
    Array<char> array({bytes});
    array.mutable_data()[bytes - 1] = 'e';
    return array;
}
char last_byte(const Array<char>& array) { return array[array.size() - 1]; }

/// Passes a Ref on through `hops` ranks, one after another, each holding it only on the way.
int relay(Ref<Counted> ref, unsigned hops) {
    if (hops == 0) return get(ref).value;
    return get(remote<relay>(on((rank() + 1) % ranks()), std::move(ref), hops - 1));
}
/// Returns at once; the object is used only after its maker's caller has gone.
Ref<Counted> make_elsewhere(int value, unsigned target, std::size_t bytes) {
    return remote<make>(on(target), value, bytes);
}
Ref<Ref<Counted>> nest(Ref<Counted> ref) { return put(std::move(ref)); }

using Bundle = std::map<std::string, std::vector<std::optional<Ref<Counted>>>>;
int sum_of(const Bundle& bundle) {
    int sum = 0;
    for (const auto& [name, refs] : bundle) {
        for (const auto& ref : refs) {
            if (ref) sum += get(*ref).value;
        }
    }
    return sum;
}
Bundle make_bundle(int n) {
    Bundle bundle;
    for (int i = 0; i < n; ++i) {
        bundle["all"].push_back(remote<make>(on(static_cast<unsigned>(i) % ranks()), i, 0UL));
        bundle["none"].emplace_back();
    }
    return bundle;
}

struct Keeper {
    std::vector<Ref<Counted>> kept;
    void keep(Ref<Counted> ref) { kept.push_back(std::move(ref)); }
    int sum() {
        int sum = 0;
        for (const auto& ref : kept) sum += get(ref).value;
        return sum;
    }
    void drop() { kept.clear(); }
};

void travels(unsigned first) {
    const unsigned next = (first + 1) % ranks();
    for (const std::size_t bytes : {0UL, 100'000UL}) {
        check_equal(get(remote<relay>(on(first), remote<make>(on(next), 5, bytes), 9U)), 5,
                    "a value passed through 9 ranks");
        check_equal(get(remote<relay>(on(first), put(Counted(6, bytes)), 9U)), 6,
                    "a value of the driver passed through 9 ranks");
        // A Ref to an object whose owner is another rank than its maker and its reader.
        const Ref<Counted> inner = get(remote<make_elsewhere>(on(first), 7, next, bytes));
        check_equal(get(inner).value, 7, "a value owned by a third rank");
        check_equal(get(remote<relay>(on(next), inner, 3U)), 7, "the same, passed on");
        check_equal(get(remote<value_of>(on(next), inner)), 7, "the same, as an input");
    }
    const Ref<Ref<Ref<Counted>>> deep = remote<nest>(on(first), remote<make>(on(next), 8, 10UL));
    check_equal(get(get(get(deep))).value, 8, "a Ref to a Ref to a Ref");
    check_equal(get(remote<sum_of>(on(next), remote<make_bundle>(on(first), 40))), 39 * 40 / 2,
                "the sum over Refs in a container, made on another rank");
    const Ref<Bundle> put_bundle = put(make_bundle(10));
    check_equal(get(remote<sum_of>(on(first), put_bundle)), 45, "Refs inside a put object");
}

void kept_by_actors(unsigned first) {
    auto keeper = spawn<Keeper>({.placement = Placement::on_rank(first)});
    for (int i = 0; i < 20; ++i) {
        const unsigned maker = static_cast<unsigned>(i) % ranks();
        keeper.call<&Keeper::keep>(
            remote<make_elsewhere>(on(maker), i, (maker + 1) % ranks(), 1000UL));
        keeper.call<&Keeper::keep>(put(put(Counted(100))));
    }
    // The driver holds none of them.
    check_equal(get(keeper.call<&Keeper::sum>()), 19 * 20 / 2 + 2000, "the sum an actor kept");
    get(keeper.call<&Keeper::drop>());
}

void all_freed(const std::string& after) {
    for (unsigned rank = 0; rank < ranks(); ++rank) {
        await([&] { return get(remote<alive_here>(on(rank))) == 0; },
              "that all instances are freed on rank " + std::to_string(rank) + " after " + after);
    }
}

/// Nearly all of each rank's store has to be free.
void room_again(std::size_t store_bytes, const std::string& after) {
    for (unsigned rank = 0; rank < ranks(); ++rank) {
        await(
            [&] {
                try {
                    return get(remote(
                        on(rank),
                        [](std::size_t bytes) { return last_byte(make_bytes(bytes)) == 'e'; },
                        store_bytes / 10 * 9));
                } catch (const StoreFull&) {
                    return false;
                }
            },
            "room in the store of rank " + std::to_string(rank) + " after " + after);
    }
}

void arrays_freed(std::size_t store_bytes) {
    const auto rounds = static_cast<int>(2 * store_bytes / array_bytes);
    // Twice as much as the store holds, one after another, made on each rank, read on the next.
    for (unsigned rank = 0; rank < ranks(); ++rank) {
        for (int i = 0; i < rounds; ++i) {
            const auto array = remote<make_bytes>(on(rank), array_bytes);
            const auto seen = remote<last_byte>(on((rank + 1) % ranks()), array);
            check_equal(get(seen), 'e', "the last byte");
            if (i % 8 == 0) check_equal(get(array).size(), array_bytes, "an array's size");
        }
    }
    room_again(store_bytes, "tasks read arrays");
    // Held by one copy of an Array only, the bytes stay.
    Array<char> copy;
    {
        const auto array = remote<make_bytes>(on(ranks() - 1), array_bytes);
        copy = get(array);
    }
    for (int i = 0; i < rounds; ++i) {
        get(remote<last_byte>(remote<make_bytes>(on(ranks() - 1), array_bytes)));
    }
    check_equal(copy[array_bytes - 1], 'e', "the last byte of a copy that outlived its object");
    copy = {};
    room_again(store_bytes, "a copy outlived its object");
    const std::string text = thrown<StoreFull>(
        [&] { get(remote<make_bytes>(on(ranks() - 1), store_bytes * 2)); }, "too large an array");
    check_contains(text, "no room", "the refusal of too large an array");
}

long add_up(const std::vector<Ref<int>>& refs) {
    long sum = 0;
    for (const int n : get(refs)) sum += n;
    return sum;
}
std::vector<Ref<int>> make_refs(int count) {
    std::vector<Ref<int>> refs;
    for (int i = 0; i < count; ++i) refs.push_back(put(1));
    return refs;
}
long sum_of_texts(const std::vector<Ref<std::string>>& refs) {
    long sum = 0;
    for (const auto& ref : refs) sum += static_cast<long>(view(ref)->size());
    return sum;
}

/// As an argument, in an object and as a result; with values that could travel along with them.
void very_many(unsigned rank, int count) {
    const std::vector<Ref<int>> refs = make_refs(count);
    check_equal(get(remote<add_up>(on(rank), refs)), long{count}, "the sum of many arguments");
    check_equal(get(remote<add_up>(on(rank), put(refs))), long{count}, "the sum of many in one");
    check_equal(add_up(get(remote<make_refs>(on(rank), count))), long{count}, "many results");
    std::vector<Ref<std::string>> texts;
    for (int i = 0; i < count / 20; ++i) texts.push_back(put(std::string(900, 't')));
    check_equal(get(remote<sum_of_texts>(on(rank), texts)), 900L * (count / 20),
                "the length of many texts");
}

/// Objects that hold one another are freed one after another, not one inside another.
struct Link {
    Counted counted;
    Ref<Link> next;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(counted, next);
    }
};
void long_chain() {
    Ref<Link> head;
    for (int i = 0; i < 300'000; ++i) head = put(Link{Counted(i), head});
    check_equal(view(head)->counted.value, 299'999, "the head of a long chain");
}

/// Lets the last Ref of an object go while it is encoded.
struct Forgetful {
    int value = 0;
    std::shared_ptr<Ref<Counted>> held;
    template <class Archive>
    void serialize(Archive& archive) {
        held.reset();
        archive(value);
    }
};
int value_in(const Forgetful& forgetful) { return forgetful.value; }

/// The user's code may use the engine while it encodes a value that goes along with a reference.
void let_go_while_encoded(unsigned rank) {
    Ref<Counted> known = put(Counted(1));
    check_equal(get(remote<value_of>(on(rank), known)), 1, "an object that both ranks knew");
    const auto ref = put(Forgetful{7, std::make_shared<Ref<Counted>>(std::move(known))});
    check_equal(get(remote<value_in>(on(rank), ref)), 7, "what let a Ref go while it was encoded");
}

/// Submits a task whose argument has a block, while it is encoded.
struct Busy {
    unsigned helper = 0;
    Array<char> bytes;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(helper, bytes);
        if (Archive::is_saving::value) {
            static_cast<void>(remote<last_byte>(on(helper), make_bytes(100'000)));
        }
    }
};
std::size_t size_of(const Busy& busy) { return busy.bytes.size(); }
void submit_while_encoded(unsigned rank) {
    const auto busy = put(Busy{rank, make_bytes(2000)});
    check_equal(get(remote<size_of>(on(rank), busy)), 2000U, "what submitted while it was encoded");
}

/// The other results of a task of which one cannot be encoded.
struct Unwritable {
    template <class Archive>
    void serialize(Archive&) {
        if (Archive::is_saving::value) throw std::runtime_error("not to be written");
    }
};
std::tuple<Unwritable, Counted, Ref<Counted>> half(std::size_t bytes) {
    return {Unwritable{}, Counted(1, bytes), put(Counted(2))};
}
void half_of_the_results(unsigned rank) {
    for (const std::size_t bytes : {10UL, 100'000UL}) {
        const auto results = remote<half>(on(rank), bytes);
        thrown<TaskError>([&] { get(std::get<0>(results)); }, "a result that cannot be encoded");
    }
}

/// Lets an object go that is on its way here.
void peek(Ref<Counted> ref) {
    try {
        get(ref, std::chrono::seconds(0));
    } catch (const Timeout&) {
    }
}
void let_go_while_fetched(unsigned rank) {
    const Ref<Counted> far = remote<make>(on((rank + 1) % ranks()), 1, 100'000UL);
    for (int i = 0; i < 200; ++i) get(remote<peek>(on(rank), far));
}

/// A view keeps its object after the last Ref went, a small one as one that was fetched.
void viewed(unsigned rank) {
    for (const std::size_t bytes : {0UL, 100'000UL}) {
        const View<Counted> own = view(put(Counted(4, bytes)));
        const View<Counted> far = view(remote<make>(on(rank), 5, bytes));
        for (unsigned other = 0; other < ranks(); ++other) {
            get(remote<value_of>(on(other), remote<make>(on(other), 6, bytes)));
        }
        check(own->value == 4 && own->padding.size() == bytes, "an own object that was viewed");
        check(far->value == 5 && far->padding == std::string(bytes, 'p'), "a remote one");
        check(alive_here() >= 2, "what is viewed was freed");
    }
}

int driver(Job& job) {
    const std::size_t store_bytes = std::stoul(job.arguments.at(1));
    for (unsigned first = 0; first < job.ranks; ++first) {
        travels(first);
        all_freed("travels");
        kept_by_actors(first);
        all_freed("actors kept some");
    }
    {
        std::vector<Ref<Counted>> many;
        for (int i = 0; i < 3000; ++i) many.push_back(remote<make>(i, 100UL));
        many.resize(10);
        check_equal(get(many)[9].value, 9, "one of many");
    }
    all_freed("results were dropped before they were made");
    for (unsigned rank = 0; rank < job.ranks; ++rank) very_many(rank, 60'000);
    long_chain();
    all_freed("a long chain");
    for (unsigned rank = 0; rank < job.ranks; ++rank) let_go_while_encoded(rank);
    all_freed("a Ref was let go while a value was encoded");
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        submit_while_encoded(rank);
        if (rank != 0) half_of_the_results(rank);
        let_go_while_fetched(rank);
        viewed(rank);
    }
    all_freed("values were given up");
    arrays_freed(store_bytes);
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
