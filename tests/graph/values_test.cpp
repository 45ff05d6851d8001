// SPDX-License-Identifier: Apache-2.0

// Goal: no Array is larger than its memory. Method: shapes that no memory can hold.

#include <mobula/array.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace mobula {
namespace {

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
