// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <mobula/detail/bytes.hpp>
#include <mobula/error.hpp>

#include "base/scratch.hpp"
#include "wire/kind.hpp"

namespace mobula::wire {

/// Appends a record's fields to a byte string that is used again and again.
class RecordWriter {
public:
    RecordWriter() = default;
    explicit RecordWriter(Kind kind) { put(kind); }
    template <class T>
    RecordWriter& put(const T& value) {
        static_assert(std::is_trivially_copyable_v<T>);
        return bytes(&value, sizeof value);
    }
    RecordWriter& bytes(const void* data, std::size_t size) {
        bytes_->append(data, size);
        return *this;
    }
    RecordWriter& text(std::string_view text) {
        put(static_cast<std::uint32_t>(text.size()));
        return bytes(text.data(), text.size());
    }
    [[nodiscard]] std::span<const std::byte> span() const noexcept { return *bytes_; }
    [[nodiscard]] std::size_t size() const noexcept { return bytes_->size(); }
    /// Overwrites what was put at `offset`.
    template <class T>
    void patch(std::size_t offset, const T& value) noexcept {
        std::memcpy(bytes_->mutable_data() + offset, &value, sizeof value);
    }

private:
    Scratch<detail::Bytes> bytes_;  ///< describing a reference may take a record of its own
};

/// Reads what a RecordWriter wrote. What does not fit throws Error; nothing is trusted.
class RecordReader {
public:
    explicit RecordReader(std::span<const std::byte> record) noexcept : left_(record) {}

    template <class T>
    [[nodiscard]] T get() {
        static_assert(std::is_trivially_copyable_v<T>);
        if constexpr (std::is_same_v<T, bool>) {
            return get<std::uint8_t>() != 0;  // a bool of any other byte is no bool
        } else {
            T value;
            std::memcpy(&value, bytes(sizeof value).data(), sizeof value);
            return value;
        }
    }
    [[nodiscard]] std::span<const std::byte> bytes(std::size_t size) {
        if (size > left_.size()) throw Error("a record ends too early");
        const std::span<const std::byte> taken = left_.first(size);
        left_ = left_.subspan(size);
        return taken;
    }
    [[nodiscard]] std::string_view text() {
        const auto size = get<std::uint32_t>();
        const std::span<const std::byte> taken = bytes(size);
        return {reinterpret_cast<const char*>(taken.data()), taken.size()};
    }
    /// A count of things that take at least `each` bytes of the record.
    [[nodiscard]] std::uint32_t count(std::size_t each) {
        const auto count = get<std::uint32_t>();
        if (count > left_.size() / (each == 0 ? 1 : each)) {
            throw Error("a record announces more than it holds");
        }
        return count;
    }
    [[nodiscard]] std::span<const std::byte> rest() const noexcept { return left_; }

private:
    std::span<const std::byte> left_;
};

}  // namespace mobula::wire
