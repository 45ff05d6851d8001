// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <vector>

namespace mobula::detail {

/// A growing string of bytes. Unlike std::vector it does not fill what is about to be overwritten,
/// and a small append is a comparison and a move: every record is made of those. Thread-bound.
class Bytes {
public:
    void append(const void* data, std::size_t size) {
        if (size > capacity_ - size_) grow(size);
        if (size != 0) std::memcpy(data_.get() + size_, data, size);
        size_ += size;
    }
    /// Keeps the memory, but not that of rare giants.
    void clear() noexcept {
        size_ = 0;
        if (capacity_ > kept_capacity_max) {
            data_.reset();
            capacity_ = 0;
        }
    }

    [[nodiscard]] std::byte* mutable_data() noexcept { return data_.get(); }
    [[nodiscard]] const std::byte* data() const noexcept { return data_.get(); }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] const std::byte* begin() const noexcept { return data(); }
    [[nodiscard]] const std::byte* end() const noexcept { return data() + size_; }
    /// A copy to keep.
    [[nodiscard]] std::vector<std::byte> copy() const { return {begin(), end()}; }

private:
    static constexpr std::size_t first_capacity = 256;
    static constexpr std::size_t kept_capacity_max = std::size_t{1} << 20U;

    void grow(std::size_t more) {
        const std::size_t capacity = std::max({first_capacity, 2 * capacity_, size_ + more});
        std::unique_ptr<std::byte[]> larger(new std::byte[capacity]);
        if (size_ != 0) std::memcpy(larger.get(), data_.get(), size_);
        data_ = std::move(larger);
        capacity_ = capacity;
    }

    std::unique_ptr<std::byte[]> data_;
    std::size_t size_ = 0, capacity_ = 0;
};

}  // namespace mobula::detail
