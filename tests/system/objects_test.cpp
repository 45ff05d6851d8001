// SPDX-License-Identifier: Apache-2.0
// Goal: objects have the same value on every rank, however large they are and however they got
// there, and Arrays are read where they lie. Method: values whose every element is known are made
// on each rank and read on each other one; where memory is shared, addresses are compared with the
// mappings of the process.
#include <cstdint>
#include <fstream>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "support/checks.hpp"
#include "support/forms.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

std::uint64_t element(std::uint64_t seed, std::uint64_t i) { return seed * 1000003 + i * 7919; }

Array<std::uint64_t> make_array(std::uint64_t seed, std::size_t size) {
    Array<std::uint64_t> array({size});
    for (std::size_t i = 0; i < size; ++i) array.mutable_data()[i] = element(seed, i);
    return array;
}
void check_array(const Array<std::uint64_t>& array, std::uint64_t seed, std::size_t size) {
    check_equal(array.size(), size, "an array's size");
    for (std::size_t i = 0; i < size; ++i) {
        if (array[i] != element(seed, i)) fail("element " + std::to_string(i) + " is wrong");
    }
}
std::vector<std::uint64_t> make_vector(std::uint64_t seed, std::size_t size) {
    std::vector<std::uint64_t> vector(size);
    for (std::size_t i = 0; i < size; ++i) vector[i] = element(seed, i);
    return vector;
}
std::uint64_t digest(const std::vector<std::uint64_t>& vector) {
    std::uint64_t sum = vector.size();
    for (const std::uint64_t value : vector) sum = sum * 31 + value;
    return sum;
}
Array<float> make_matrix(std::size_t rows, std::size_t columns) {
    Array<float> matrix({rows, columns});
    for (std::size_t i = 0; i < matrix.size(); ++i) {
        matrix.mutable_data()[i] = static_cast<float>(i);
    }
    return matrix;
}

/// The line of this process's memory map that an address lies in.
std::string mapping_of(const void* address) {
    std::ifstream maps("/proc/self/maps");
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    for (std::string line; std::getline(maps, line);) {
        std::uintptr_t begin = 0, end = 0;
        char dash = 0;
        std::istringstream(line) >> std::hex >> begin >> dash >> end;
        if (at >= begin && at < end) return line;
    }
    return {};
}
/// The inode of the memory that backs an Array's bytes.
std::string backing(const Array<std::uint64_t>& array) {
    std::istringstream line(mapping_of(array.data()));
    std::string range, rights, offset, device, inode;
    line >> range >> rights >> offset >> device >> inode;
    return inode;
}

struct Mixed {
    std::string name;
    Array<std::uint64_t> big, small;
    std::vector<Array<std::uint64_t>> parts;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(name, big, small, parts);
    }
};

void sizes(unsigned maker, unsigned reader) {
    for (const std::size_t size : {0UL, 1UL, 511UL, 512UL, 513UL, 4096UL, 100001UL, 1000000UL}) {
        const auto array = remote<make_array>(on(maker), size + 1, size);
        get(remote<check_array>(on(reader), array, size + 1, size));
        check_array(get(array), size + 1, size);
        const auto vector = remote<make_vector>(on(maker), size + 1, size);
        check_equal(get(remote<digest>(on(reader), vector)), digest(make_vector(size + 1, size)),
                    "the digest of a vector of " + std::to_string(size));
        check_equal(get(vector).size(), size, "the size of a vector");
    }
}

void arrays(unsigned maker, unsigned reader) {
    const auto matrix = remote<make_matrix>(on(maker), 300UL, 200UL);
    const View<Array<float>> seen = view(matrix);
    check(seen->shape().size() == 2 && seen->shape()[0] == 300 && seen->shape()[1] == 200,
          "a matrix lost its shape");
    check_equal((*seen)[59999], 59999.0F, "the last element");
    // get, view and copies share the bytes.
    const Array<float> first = get(matrix), second = get(matrix);
    check(first.data() == second.data() && first.data() == seen->data(), "get copied an Array");
    const Ref<Array<float>> again = put(first);
    check(get(again).data() == first.data(), "put copied an Array");
    check_equal(get(remote(
                    on(reader), [](const Array<float>& a) { return a[777]; }, again)),
                777.0F, "an element of an Array put again");

    const auto mixed = put(Mixed{"mixed",
                                 make_array(1, 200000),
                                 make_array(2, 10),
                                 {make_array(3, 5000), make_array(4, 0), make_array(5, 70000)}});
    get(remote(
        on(reader),
        [](const Mixed& value) {
            check_equal(value.name, "mixed", "the name beside the Arrays");
            check_array(value.big, 1, 200000);
            check_array(value.small, 2, 10);
            check_equal(value.parts.size(), 3U, "the number of parts");
            check_array(value.parts[0], 3, 5000);
            check_array(value.parts[1], 4, 0);
            check_array(value.parts[2], 5, 70000);
        },
        mixed));
}

/// On one node, over shared memory, two ranks that read an Array see the same memory.
void same_memory(unsigned maker, unsigned reader) {
    if (get(remote(on(maker), [] { return mobula::node(); })) !=
        get(remote(on(reader), [] { return mobula::node(); }))) {
        return;
    }
    const auto array = remote<make_array>(on(maker), 5UL, 300000UL);
    const std::string here = get(remote<backing>(on(maker), array));
    const std::string there = get(remote<backing>(on(reader), array));
    check(!here.empty() && here != "0", "an Array does not lie in shared memory");
    check_equal(there, here, "the memory that the reader sees");
}

void containers(unsigned rank) {
    using Deep = std::map<std::string, std::vector<std::optional<std::variant<int, std::string>>>>;
    const Deep deep{{"a", {1, std::nullopt, "text"}}, {"b", {}}};
    check(get(remote(
              on(rank), [](Deep d) { return d; }, deep)) == deep,
          "a deep value changed");
    const std::unordered_map<int, std::list<std::set<std::string>>> other{{4, {{"x", "y"}, {}}}};
    check(get(remote(
              on(rank),
              [](const std::unordered_map<int, std::list<std::set<std::string>>>& o) { return o; },
              put(other))) == other,
          "an unordered map changed");
    const std::string megabytes(5'000'000, 'm');
    check(
        get(remote(
            on(rank), [](const std::string& s) { return s + "n"; }, megabytes)) == megabytes + "n",
        "a long string changed");
    check(get(remote(
              on(rank), [](std::vector<bool> bits) { return bits; },
              std::vector<bool>{true, false, true})) == std::vector<bool>{true, false, true},
          "bits changed");
}

/// What says itself how it travels does so, although its bytes could be copied.
void forms(unsigned rank) {
    if (rank == mobula::rank()) return;  // there nothing is encoded
    for_each_form([&]<class T>() {
        T value;
        value.x = 7;
        const auto look = [](T one, const std::vector<T>& many) {
            return one.loaded && one.x == 7 && many.at(1).loaded && many.at(1).x == 7;
        };
        check(get(remote(on(rank), look, value, std::vector<T>(2, value))),
              "a form of one's own is not used for an argument");
        check(get(remote(on(rank), look, put(value), put(std::vector<T>(2, value)))),
              "a form of one's own is not used for an object");
        const auto [one, many] = get(remote(on(rank), [] {
            T made;
            made.x = 8;
            return std::tuple<T, std::vector<T>>{made, {made, made}};
        }));
        check(one.loaded && one.x == 8 && many.at(1).loaded && many.at(1).x == 8,
              "a form of one's own is not used for a result");
    });
}

void many_puts() {
    std::vector<Ref<std::vector<int>>> refs;
    for (int i = 0; i < 5000; ++i) refs.push_back(put(std::vector<int>(10, i)));
    const auto all = get(refs);
    for (std::size_t i = 0; i < all.size(); ++i) {
        check_equal(all[i][9], static_cast<int>(i), "an object among many");
    }
    // One object, read by many at once on all ranks.
    const auto big = put(make_array(9, 500000));
    std::vector<Ref<void>> readers;
    for (unsigned i = 0; i < 8 * ranks(); ++i) {
        readers.push_back(remote<check_array>(on(i % ranks()), big, 9UL, 500000UL));
    }
    get(readers);
}

bool writable(Array<std::uint64_t>& array) {
    try {
        array.mutable_data()[0] = 0;
    } catch (const BadInput&) {
        return false;
    }
    return true;
}
bool writable_input(Array<std::uint64_t> array) { return writable(array); }
/// Nobody changes an object through the Array that he got of it, wherever it lies and travels.
void read_only(unsigned maker, unsigned reader) {
    for (const std::size_t size : {10UL, 50'000UL}) {
        const auto object = remote<make_array>(on(maker), 4UL, size);
        Array<std::uint64_t> got = get(object);
        const std::string text = thrown<BadInput>([&] { static_cast<void>(got.mutable_data()); },
                                                  "writing what get gave of an object");
        check_contains(text, "copy_of", "what to do instead");
        if (reader == maker) {
            check(!get(remote<writable_input>(on(reader), object)), "an input can be written");
        }
        Array<std::uint64_t> own = Array<std::uint64_t>::copy_of(got.span());
        check(writable(own), "a copy of one's own cannot be written");
        const auto given = put(own);
        check(!writable(own), "what was put can be written by who put it");
        check_array(get(object), 4, size);
    }
}

/// They lie in no rank's store, so each task that gets one by value has a copy of its own in there.
std::vector<Array<std::uint64_t>> made_before_the_job;
void copied_for_each_task(unsigned reader) {
    std::vector<Ref<void>> readers;
    for (std::uint64_t i = 0; i < 1000; ++i) {
        const std::uint64_t seed = i % made_before_the_job.size();
        readers.push_back(
            remote<check_array>(on(reader), made_before_the_job[seed], seed, 20'000UL));
    }
    get(readers);
}

void moved_arrays() {
    Array<std::uint64_t> first = make_array(1, 100), second = make_array(2, 10);
    const Array<std::uint64_t> made = std::move(first);
    check_array(made, 1, 100);
    const auto check_empty = [](const Array<std::uint64_t>& array) {
        check(array.empty() && array.begin() == array.end() && array.shape().empty(),
              "an Array that was moved has elements");
    };
    check_empty(first);  // NOLINT(bugprone-use-after-move): that is the question
    first = std::move(second);
    check_array(first, 2, 10);
    check_empty(second);  // NOLINT(bugprone-use-after-move)
    get(remote<check_array>(std::move(first), 2UL, 10UL));
    check_empty(first);  // NOLINT(bugprone-use-after-move)
}

using Boxes = std::vector<std::unique_ptr<int>>;
Boxes boxes(int n) {
    Boxes made;
    for (int i = 0; i < n; ++i) made.push_back(std::make_unique<int>(i));
    return made;
}
int sum_of(const Boxes& given) {
    int sum = 0;
    for (const auto& box : given) sum += *box;
    return sum;
}
int sum_of_own(Boxes given) { return sum_of(given); }
/// A vector says that it can be copied, whatever it holds.
void containers_of_move_only(unsigned rank) {
    const Ref<Boxes> object = put(boxes(10));
    check_equal(get(remote<sum_of>(on(rank), object)), 45, "the sum of what boxes hold");
    check_equal(sum_of(*view(object)), 45, "the sum of what viewed boxes hold");
    check_equal(sum_of(get(object)), 45, "the sum of what boxes hold that were got");
    const std::string again = thrown<Error>([&] { get(object); }, "boxes that are got twice");
    check_contains(again, "moved out already", "why they are not there");
    check_contains(thrown<Error>([&] { view(object); }, "a view of what was moved out"),
                   "moved out already", "why it is not there");
    check_equal(get(remote<sum_of_own>(on(rank), boxes(5))), 10, "the sum of boxes given away");
    check_equal(get(remote<sum_of_own>(on(rank), remote<boxes>(6))), 15, "the sum of a result");
    using Deep = std::map<int, std::optional<Boxes>>;
    const Ref<Deep> deep = remote(on(rank), [] {
        Deep value;
        value[3] = boxes(4);
        return value;
    });
    check_equal(sum_of(*get(deep).at(3)), 6, "the sum of boxes deep inside");
}

int driver(Job& job) {
    const bool mapped = job.arguments.size() > 1 && job.arguments[1] == "mapped";
    for (unsigned maker = 0; maker < job.ranks; ++maker) {
        const unsigned reader = (maker + 1) % job.ranks;
        sizes(maker, reader);
        arrays(maker, reader);
        if (mapped) same_memory(maker, reader);
        containers(maker);
        containers_of_move_only(maker);
        forms(maker);
        read_only(maker, reader);
        read_only(maker, maker);
        copied_for_each_task(reader);
    }
    many_puts();
    moved_arrays();
    thrown<BadInput>([] { Array<char>(std::vector<std::size_t>(9, 1)); }, "9 dimensions");
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    for (std::uint64_t i = 0; i < 8; ++i) made_before_the_job.push_back(make_array(i, 20'000));
    return mobula::run(argc, argv, driver);
}
