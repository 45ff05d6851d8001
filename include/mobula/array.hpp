// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include <mobula/archive.hpp>
#include <mobula/error.hpp>

namespace mobula {

/// A contiguous n-dimensional array (row-major, at most 8 dimensions). Its bytes are never copied
/// on one node: `get` gives a view of the bytes where they lie, also in the memory of another rank
/// of the node. Copies share the bytes.
///
/// `mutable_data()` gives write access while no other array shares the bytes: after construction,
/// until the array is copied or given away (put, argument, result), or as the last holder of what
/// arrived. An array that is an object is read-only, as every object. A view keeps its object
/// pinned. Reentrant.
template <class T>
    requires std::is_trivially_copyable_v<T> && (!detail::HoldsAddress<T>)
class Array {
public:
    static constexpr std::size_t dimensions_max = 8;

    Array() = default;
    Array(const Array&) = default;
    Array& operator=(const Array&) = default;
    /// Leaves the other one empty.
    Array(Array&& other) noexcept
        : buffer_(std::move(other.buffer_)),
          shape_(other.shape_),
          dimensions_(std::exchange(other.dimensions_, 0)) {}
    Array& operator=(Array&& other) noexcept {
        buffer_ = std::move(other.buffer_);
        shape_ = other.shape_;
        dimensions_ = std::exchange(other.dimensions_, 0);
        return *this;
    }
    ~Array() = default;

    /// Elements are not initialised. Throws StoreFull when the store has no room, and BadInput for
    /// a shape of more than 8 dimensions or of more bytes than any memory has.
    explicit Array(std::span<const std::size_t> shape) : dimensions_(shape.size()) {
        if (shape.size() > dimensions_max) {
            throw BadInput("an Array has at most 8 dimensions, not " +
                           std::to_string(shape.size()));
        }
        std::copy(shape.begin(), shape.end(), shape_.begin());
        const std::optional<std::size_t> bytes = bytes_of(shape);
        if (!bytes) {
            throw BadInput("an Array of shape " + text_of(shape) + " with " +
                           std::to_string(sizeof(T)) +
                           " bytes an element is larger than any memory");
        }
        buffer_ = detail::allocate_buffer(*bytes);
    }
    Array(std::initializer_list<std::size_t> shape)
        : Array(std::span<const std::size_t>(shape.begin(), shape.size())) {}

    /// A one-dimensional copy.
    [[nodiscard]] static Array copy_of(std::span<const T> elements) {
        Array array({elements.size()});
        std::copy(elements.begin(), elements.end(), array.mutable_data());
        return array;
    }

    [[nodiscard]] std::size_t size() const noexcept {
        std::size_t product = dimensions_ == 0 ? 0 : 1;
        for (std::size_t i = 0; i < dimensions_; ++i) product *= shape_[i];
        return product;
    }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    [[nodiscard]] std::span<const std::size_t> shape() const noexcept {
        return {shape_.data(), dimensions_};
    }
    [[nodiscard]] const T* data() const noexcept {
        return reinterpret_cast<const T*>(buffer_.data());
    }
    [[nodiscard]] const T* begin() const noexcept { return data(); }
    [[nodiscard]] const T* end() const noexcept { return data() + size(); }
    [[nodiscard]] const T& operator[](std::size_t i) const noexcept { return data()[i]; }
    [[nodiscard]] std::span<const T> span() const noexcept { return {data(), size()}; }

    /// Bytes of the elements.
    [[nodiscard]] std::size_t weight() const noexcept { return size() * sizeof(T); }

    /// Throws BadInput where other arrays share the bytes, or where they are another rank's;
    /// `copy_of` makes an array with bytes of its own. The pointer must not be used after the array
    /// was given away.
    [[nodiscard]] T* mutable_data() {
        if (buffer_ && !buffer_.writable()) {
            throw BadInput(
                "an Array that was copied or given away can only be read; "
                "Array::copy_of makes one that can be written");
        }
        return reinterpret_cast<T*>(buffer_.data());
    }

    void save(OutputArchive& archive) const {
        detail::Writer& writer = archive.writer();
        writer.raw(static_cast<std::uint8_t>(dimensions_));
        for (std::size_t i = 0; i < dimensions_; ++i) {
            writer.raw(static_cast<std::uint64_t>(shape_[i]));
        }
        const std::size_t bytes = size() * sizeof(T);
        if (bytes > inline_bytes_max) {
            writer.attach(buffer_);
        } else {
            writer.bytes(data(), bytes);
        }
    }

    void load(InputArchive& archive) {
        detail::Reader& reader = archive.reader();
        dimensions_ = reader.raw<std::uint8_t>();
        if (dimensions_ > dimensions_max) throw Error("an encoded Array has too many dimensions");
        for (std::size_t i = 0; i < dimensions_; ++i) shape_[i] = reader.raw<std::uint64_t>();
        const std::optional<std::size_t> bytes = bytes_of(shape());
        if (!bytes) throw Error("an encoded Array's shape is impossible");
        if (*bytes > inline_bytes_max) {
            buffer_ = reader.attachment();
            if (buffer_.size() < *bytes) throw Error("an encoded Array's block is too small");
        } else {
            buffer_ = detail::allocate_buffer(*bytes);
            reader.bytes(buffer_.data(), *bytes);
        }
    }

private:
    /// Up to here the elements travel inside the message.
    static constexpr std::size_t inline_bytes_max = 4096;

    /// Nothing for more than a difference of pointers can tell, the bound of every container.
    static std::optional<std::size_t> bytes_of(std::span<const std::size_t> shape) noexcept {
        if (shape.empty() || std::find(shape.begin(), shape.end(), 0U) != shape.end()) return 0;
        std::size_t bytes = sizeof(T);
        for (const std::size_t extent : shape) {
            if (__builtin_mul_overflow(bytes, extent, &bytes)) return std::nullopt;
        }
        if (bytes > static_cast<std::size_t>(PTRDIFF_MAX)) return std::nullopt;
        return bytes;
    }
    static std::string text_of(std::span<const std::size_t> shape) {
        std::string text;
        for (const std::size_t extent : shape) {
            text += (text.empty() ? "" : " x ") + std::to_string(extent);
        }
        return text;
    }

    detail::Buffer buffer_;
    std::array<std::size_t, dimensions_max> shape_{};
    std::size_t dimensions_ = 0;
};

template <class T>
inline constexpr bool detail::weighs_itself<Array<T>> = true;
template <class T>
inline constexpr bool detail::is_quiet<Array<T>> = true;

}  // namespace mobula
