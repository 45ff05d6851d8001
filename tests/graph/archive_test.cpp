// SPDX-License-Identifier: Apache-2.0

// Goal: every kind of value travels whole; bytes that are no value raise Error, never crash, and
// never make the decoder ask for much more memory than there are bytes. Method: round trips,
// every truncation and random damage of each sample, with the largest single allocation watched.

#include <mobula/archive.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cereal/types/array.hpp>
#include <cereal/types/list.hpp>
#include <cereal/types/map.hpp>
#include <cereal/types/memory.hpp>
#include <cereal/types/optional.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/tuple.hpp>
#include <cereal/types/unordered_map.hpp>
#include <cereal/types/utility.hpp>
#include <cereal/types/variant.hpp>
#include <cereal/types/vector.hpp>
#include <cstdlib>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

#include <mobula/array.hpp>
#include <mobula/error.hpp>

namespace {

std::size_t largest_allocation = 0;

}  // namespace

// The thread sanitizer bears no operators beside its own; under it, allocations are not watched.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MOBULA_UNWATCHED
#endif
#endif
#if !defined(MOBULA_UNWATCHED) && !defined(__SANITIZE_THREAD__)
[[gnu::noinline]] void* operator new(std::size_t bytes) {
    largest_allocation = std::max(largest_allocation, bytes);
    if (void* const memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

namespace mobula {
namespace {

enum class Colour : std::uint8_t { red, green };

struct Point {
    double x = 0, y = 0;
    friend bool operator==(const Point&, const Point&) = default;
};

struct Person {
    std::string name;
    std::vector<Point> path;
    std::map<std::string, int> marks;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(name, path, marks);
    }
    friend bool operator==(const Person&, const Person&) = default;
};

struct MoveOnly {
    std::unique_ptr<int> value;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(value);
    }
    friend bool operator==(const MoveOnly& a, const MoveOnly& b) { return *a.value == *b.value; }
};

template <class T>
std::vector<std::byte> encoded(const T& value) {
    detail::Writer writer;
    detail::encode(writer, value);
    return writer.stream().copy();
}

/// Decodes into fresh memory, as the engine does; the place is freed whatever happens.
template <class T>
std::unique_ptr<T> decoded(std::span<const std::byte> bytes) {
    struct Free {
        void operator()(std::byte* place) const { ::operator delete(place); }
    };
    std::unique_ptr<std::byte, Free> place(static_cast<std::byte*>(::operator new(sizeof(T))));
    detail::Reader reader(bytes, {}, {});
    detail::decode<T>(reader, place.get());
    return std::unique_ptr<T>(reinterpret_cast<T*>(place.release()));
}

/// Bytes that may be wrong: Error is the only exception they may lead to.
template <class T>
void decode_hostile(std::span<const std::byte> bytes) {
    largest_allocation = 0;
    try {
        static_cast<void>(decoded<T>(bytes));
    } catch (const std::exception&) {  // Error, or what cereal has to say
    }
    // The last is what elements without a byte may have.
    constexpr std::size_t per_byte = 2048, besides = 4096 + 65536;
    ASSERT_LE(largest_allocation, per_byte * bytes.size() + besides);
}

template <class T>
void check_travel(const T& value) {
    const std::vector<std::byte> bytes = encoded(value);
    EXPECT_EQ(*decoded<T>(bytes), value);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        EXPECT_THROW(static_cast<void>(decoded<T>(std::span(bytes).first(size))), Error);
    }
    std::mt19937 random(7);
    for (int round = 0; round < 2000; ++round) {
        std::vector<std::byte> damaged = bytes;
        if (round % 4 == 0) damaged.resize(random() % 100);
        const std::size_t hits = 1 + random() % 4;
        for (std::size_t i = 0; i < hits && !damaged.empty(); ++i) {
            damaged[random() % damaged.size()] = static_cast<std::byte>(random());
        }
        decode_hostile<T>(damaged);
        if (testing::Test::HasFatalFailure()) return;
    }
}

TEST(archive, plain_values_travel) {
    check_travel(7);
    check_travel(2.5F);
    check_travel(Point{1, 2});
    check_travel(std::array<int, 5>{1, 2, 3, 4, 5});
    static_assert(detail::Plain<Colour> && detail::Plain<Point>);
    EXPECT_EQ(*decoded<Colour>(encoded(Colour::green)), Colour::green);
}

TEST(archive, containers_travel) {
    check_travel(std::string("a text that is longer than what fits inside"));
    check_travel(std::vector<double>{1, 2, 3});
    check_travel(std::vector<bool>{true, false, true});
    check_travel(std::vector<std::string>{"one", "", "three"});
    check_travel(std::vector<std::vector<Point>>{{{1, 2}}, {}, {{3, 4}, {5, 6}}});
    check_travel(std::list<int>{1, 2});
    check_travel(std::map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}});
    check_travel(std::unordered_map<int, std::string>{{1, "x"}, {2, "y"}});
    check_travel(std::tuple<int, std::string>{1, "x"});
    check_travel(std::pair<std::string, std::optional<int>>{"p", 3});
    check_travel(std::optional<std::string>{});
    check_travel(std::array<std::string, 2>{"a", "b"});
    check_travel(std::variant<int, std::string>{"v"});
    // Plain by themselves, yet cereal's inside of others.
    check_travel(std::vector<std::array<int, 3>>{{1, 2, 3}, {4, 5, 6}});
    check_travel(std::vector<std::optional<int>>{1, std::nullopt});
    check_travel(std::vector<std::variant<int, float>>{1, 2.0F});
}

TEST(archive, user_types_travel) {
    check_travel(Person{"Ada", {{1, 2}, {3, 4}}, {{"maths", 1}}});
    check_travel(MoveOnly{std::make_unique<int>(5)});
    check_travel(std::vector<Person>{{"A", {}, {}}, {"B", {{0, 0}}, {{"x", 2}}}});
}

TEST(archive, an_absurd_length_is_refused_before_memory_is_asked_for) {
    for (const std::uint64_t length : {std::uint64_t{1} << 20U, std::uint64_t{1} << 40U,
                                       ~std::uint64_t{0}, std::uint64_t{1} << 63U}) {
        detail::Writer writer;
        writer.raw(length);
        const auto refuses = [&]<class T>(std::type_identity<T>) {
            largest_allocation = 0;
            EXPECT_THROW(static_cast<void>(decoded<T>(writer.stream().copy())), Error);
            EXPECT_LE(largest_allocation, 4096U);
        };
        refuses(std::type_identity<std::string>{});
        refuses(std::type_identity<std::vector<double>>{});
        refuses(std::type_identity<std::vector<std::string>>{});
        refuses(std::type_identity<std::unordered_map<int, int>>{});
        refuses(std::type_identity<std::vector<bool>>{});
        refuses(std::type_identity<std::list<int>>{});
    }
}

TEST(archive, type_info_does_what_the_type_would) {
    const detail::TypeInfo& info = detail::type_info<std::string>;
    EXPECT_EQ(info.size, sizeof(std::string));
    EXPECT_FALSE(info.plain);
    EXPECT_TRUE(detail::type_info<Point>.plain);
    const std::string text(1000, 'x');
    EXPECT_EQ(info.weight(&text), sizeof(std::string) + 1000);
    const Point point;
    EXPECT_EQ(detail::type_info<Point>.weight(&point), sizeof point);
    detail::Writer writer;
    info.encode(&text, writer);
    alignas(std::string) std::byte place[sizeof(std::string)];
    detail::Reader reader(writer.stream(), {}, {});
    info.decode(reader, place);
    EXPECT_EQ(*reinterpret_cast<std::string*>(place), text);
    EXPECT_EQ(reader.left(), 0U);
    info.destroy(place);
}

/// Functions whose names mean something else here.
struct Heavy {
    double kilograms = 70;
    [[nodiscard]] double weight() const { return kilograms; }
};
struct Described {
    using value_type = int;
    std::string text;
    [[nodiscard]] std::string weight() const { return text; }
    [[nodiscard]] std::string size() const { return text; }
    template <class Archive>
    void serialize(Archive& archive) {
        archive(text);
    }
};
TEST(archive, only_containers_are_asked_for_their_size) {
    const Heavy heavy;
    EXPECT_EQ(detail::type_info<Heavy>.weight(&heavy), sizeof heavy);
    const Described described{"text"};
    EXPECT_EQ(detail::type_info<Described>.weight(&described), sizeof described);
    const Array<int> array({1000});
    EXPECT_EQ(detail::type_info<Array<int>>.weight(&array), 4000U);
}

/// Travels as nothing, and yet is not nothing.
struct Silent {
    std::unique_ptr<int> made_here;
    template <class Archive>
    void serialize(Archive&) {}
};
TEST(archive, elements_without_a_byte_travel) {
    for (const std::size_t size : {8U, 9U, 65536U}) {
        const std::vector<std::monostate> nothings(size);
        EXPECT_EQ(decoded<std::vector<std::monostate>>(encoded(nothings))->size(), size);
    }
    EXPECT_EQ(decoded<std::list<Silent>>(encoded(std::list<Silent>(1000)))->size(), 1000U);
    using Nested = std::vector<std::vector<std::monostate>>;
    EXPECT_EQ(decoded<Nested>(encoded(Nested(3, std::vector<std::monostate>(20000))))->size(), 3U);
    // Streams of lengths do not fill the memory.
    const std::vector<std::byte> too_many = encoded(std::vector<std::monostate>(65537));
    EXPECT_THROW(static_cast<void>(decoded<std::vector<std::monostate>>(too_many)), Error);
    const std::vector<std::byte> again_and_again =
        encoded(Nested(4, std::vector<std::monostate>(20000)));
    EXPECT_THROW(static_cast<void>(decoded<Nested>(again_and_again)), Error);
}

TEST(archive, a_reader_names_only_what_there_is) {
    detail::Writer writer;
    writer.raw(std::uint32_t{0});
    detail::Reader blocks(writer.stream(), {}, {});
    EXPECT_THROW(static_cast<void>(blocks.attachment()), Error);
    detail::Reader objects(writer.stream(), {}, {});
    EXPECT_THROW(static_cast<void>(objects.reference()), Error);
}

}  // namespace
}  // namespace mobula
