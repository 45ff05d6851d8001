// SPDX-License-Identifier: Apache-2.0

// Goal: it is known of every type whether and how its values travel. Method: the verdict on types
// of each kind, alone and inside of what may hold them; round trips of those with a form of their
// own; Arrays of shapes that no memory can hold.

#include <mobula/array.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "support/forms.hpp"

namespace mobula {
namespace {

using testing::for_each_form;

struct Formless {
    std::string name;
};
struct NoDefault {
    explicit NoDefault(int start) : x(start) {}
    int x;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(x);
    }
};
union Bits {
    int whole;
    float real;
};

/// None of what may hold a T as one of its parts travels.
template <class T>
consteval bool travels_in_nothing() {
    return !Value<T> && !Value<std::optional<T>> && !Value<std::array<T, 2>> &&
           !Value<std::variant<int, T>> && !Value<std::pair<T, int>> &&
           !Value<std::tuple<int, T>> && !Value<std::vector<T>> && !Value<std::list<T>> &&
           !Value<std::map<int, T>> && !Value<std::vector<std::optional<std::array<T, 1>>>>;
}
static_assert(travels_in_nothing<int*>());
static_assert(travels_in_nothing<int (*)(int)>());
static_assert(travels_in_nothing<int Bits::*>());
static_assert(travels_in_nothing<std::string_view>());
static_assert(travels_in_nothing<std::span<int>>());
static_assert(travels_in_nothing<std::initializer_list<int>>());
static_assert(travels_in_nothing<std::reference_wrapper<int>>());
static_assert(travels_in_nothing<Formless>());
static_assert(travels_in_nothing<std::shared_ptr<int*>>());
static_assert(travels_in_nothing<std::unique_ptr<int[]>>());
static_assert(!Value<std::tuple<int&, int>> && !Value<std::set<int*>>);
static_assert(!Value<std::map<int*, int>> && !Value<std::unique_ptr<Formless>>);
static_assert(!Value<std::vector<NoDefault>> && !Value<std::optional<NoDefault>>);

template <class T>
consteval bool travels_in_all() {
    return Value<T> && Value<std::optional<T>> && Value<std::array<T, 2>> &&
           Value<std::variant<int, T>> && Value<std::pair<T, int>> && Value<std::tuple<int, T>> &&
           Value<std::vector<T>> && Value<std::list<T>> && Value<std::map<int, T>> &&
           Value<std::shared_ptr<T>> && Value<std::unique_ptr<T>> && Value<std::weak_ptr<T>> &&
           Value<std::vector<std::optional<std::array<T, 1>>>>;
}
static_assert(travels_in_all<int>());
static_assert(travels_in_all<Bits>());
static_assert(travels_in_all<std::byte>());
static_assert(travels_in_all<std::string>());
static_assert(travels_in_all<std::vector<bool>>());
static_assert(travels_in_all<std::tuple<>>());
static_assert(travels_in_all<std::monostate>());
static_assert(travels_in_all<std::shared_ptr<const int>>());
static_assert(travels_in_all<Array<double>>());

/// A copy that was encoded and decoded.
template <class T>
T travelled(const T& value) {
    detail::Writer writer;
    detail::encode(writer, value);
    alignas(T) std::byte place[sizeof(T)];
    detail::Reader reader(writer.stream(), {}, {});
    detail::decode<T>(reader, place);
    EXPECT_EQ(reader.left(), 0U);
    T* const decoded = reinterpret_cast<T*>(place);
    T copy = *decoded;
    decoded->~T();
    return copy;
}

TEST(values, a_form_of_ones_own_is_used_alone_and_inside_of_others) {
    for_each_form([]<class T>() {
        SCOPED_TRACE(typeid(T).name());
        static_assert(std::is_trivially_copyable_v<T> && travels_in_all<T>());
        T value;
        value.x = 7;
        EXPECT_TRUE(travelled(value).loaded);
        EXPECT_EQ(travelled(value).x, 7);
        const std::vector<T> three = travelled(std::vector<T>(3, value));
        ASSERT_EQ(three.size(), 3U);
        EXPECT_TRUE(three[2].loaded);
        EXPECT_EQ(three[2].x, 7);
        EXPECT_TRUE((travelled(std::array<T, 2>{value, value})[1].loaded));
        EXPECT_TRUE(travelled(std::optional<T>(value))->loaded);
        EXPECT_TRUE(std::get<1>(travelled(std::variant<int, T>(value))).loaded);
        EXPECT_TRUE(travelled(std::map<int, T>{{1, value}}).at(1).loaded);
    });
}

TEST(values, bytes_are_for_types_without_a_form) {
    static_assert(detail::Plain<testing::Travelled> && detail::Plain<Bits>);
    static_assert(detail::Plain<std::array<std::optional<int>, 2>>);
    const Bits bits = travelled(std::vector<Bits>(2, Bits{.whole = 5}))[1];
    EXPECT_EQ(bits.whole, 5);
}

template <class T>
std::string refusal(std::vector<std::size_t> shape) {
    try {
        const Array<T> array{std::span<const std::size_t>(shape)};
    } catch (const BadInput& error) {
        return error.what();
    }
    return "nothing";
}

TEST(values, an_array_larger_than_any_memory_is_refused) {
    constexpr std::size_t exabytes_2 = std::size_t{1} << 61U, tera = std::size_t{1} << 40U;
    EXPECT_EQ(refusal<double>({exabytes_2}),
              "an Array of shape 2305843009213693952 with 8 bytes an element is larger than any "
              "memory");
    EXPECT_EQ(refusal<double>({tera, tera}),
              "an Array of shape 1099511627776 x 1099511627776 with 8 bytes an element is larger "
              "than any memory");
    EXPECT_NE(refusal<char>({std::numeric_limits<std::size_t>::max()}), "nothing");
    EXPECT_NE(refusal<char>({2, exabytes_2, 2}), "nothing");
    // Whatever the order: where one extent is nothing, nothing is there.
    EXPECT_EQ(refusal<double>({0, tera, tera}), "nothing");
    EXPECT_EQ(refusal<double>({tera, tera, 0}), "nothing");
    EXPECT_EQ(Array<double>({tera, 0}).size(), 0U);
}

TEST(values, an_encoded_array_larger_than_any_memory_is_refused) {
    detail::Writer writer;
    writer.raw(std::uint8_t{2});
    writer.raw(std::uint64_t{1} << 40U);
    writer.raw(std::uint64_t{1} << 40U);
    detail::Reader reader(writer.stream(), {}, {});
    InputArchive archive(reader);
    Array<double> array;
    EXPECT_THROW(array.load(archive), Error);
}

}  // namespace
}  // namespace mobula
