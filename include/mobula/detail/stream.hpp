// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <mobula/detail/buffer.hpp>
#include <mobula/detail/bytes.hpp>
#include <mobula/detail/cell.hpp>
#include <mobula/error.hpp>

namespace mobula::detail {

/// Takes the encoded form of a value: a stream of bytes, large blocks kept aside so that they need
/// not be copied, and the objects that the value refers to. Thread-bound.
class Writer {
public:
    void bytes(const void* data, std::size_t size) { stream_.append(data, size); }
    template <class T>
    void raw(const T& value) {
        static_assert(std::is_trivially_copyable_v<T>);
        bytes(&value, sizeof value);
    }
    /// Keeps a large block aside and notes its number in the stream.
    void attach(Buffer buffer) {
        raw(static_cast<std::uint32_t>(attachments_.size()));
        attachments_.push_back(std::move(buffer));
    }
    /// Notes an object that the value refers to; the object lives at least as long as this writer.
    void reference(CellPtr cell) {
        raw(static_cast<std::uint32_t>(references_.size()));
        references_.push_back(std::move(cell));
    }
    void clear() noexcept {
        stream_.clear();
        attachments_.clear();
        references_.clear();
    }

    [[nodiscard]] const Bytes& stream() const noexcept { return stream_; }
    [[nodiscard]] std::vector<Buffer>& attachments() noexcept { return attachments_; }
    [[nodiscard]] std::vector<CellPtr>& references() noexcept { return references_; }

private:
    Bytes stream_;
    std::vector<Buffer> attachments_;
    std::vector<CellPtr> references_;
};

/// Gives back what a Writer took, in the same order. Every read is checked: an encoded value that
/// is too short or names what is not there throws Error. Thread-bound.
class Reader {
public:
    Reader(std::span<const std::byte> stream, std::span<const Buffer> attachments,
           std::span<const CellPtr> references) noexcept
        : stream_(stream), attachments_(attachments), references_(references) {}

    void bytes(void* into, std::size_t size) {
        if (size > stream_.size()) throw Error("an encoded value ends too early");
        if (size != 0) std::memcpy(into, stream_.data(), size);
        stream_ = stream_.subspan(size);
    }
    template <class T>
    [[nodiscard]] T raw() {
        static_assert(std::is_trivially_copyable_v<T>);
        T value;
        bytes(&value, sizeof value);
        return value;
    }
    /// How many bytes of the stream are left: the bound of any length that it announces.
    [[nodiscard]] std::size_t left() const noexcept { return stream_.size(); }

    [[nodiscard]] const Buffer& attachment() {
        const auto number = raw<std::uint32_t>();
        if (number >= attachments_.size()) throw Error("an encoded value names no such block");
        return attachments_[number];
    }
    [[nodiscard]] const CellPtr& reference() {
        const auto number = raw<std::uint32_t>();
        if (number >= references_.size()) throw Error("an encoded value names no such object");
        return references_[number];
    }

private:
    std::span<const std::byte> stream_;
    std::span<const Buffer> attachments_;
    std::span<const CellPtr> references_;
};

}  // namespace mobula::detail
