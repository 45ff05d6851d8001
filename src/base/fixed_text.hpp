// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mobula {

/// A text of limited length that is put together where nothing may be allocated, such as in a
/// signal handler; what does not fit is cut off. Reentrant, async-signal-safe.
class FixedText {
public:
    static constexpr std::size_t bytes_max = 1000;

    FixedText& add(std::string_view text) noexcept {
        for (const char c : text) {
            if (size_ == bytes_max) break;
            bytes_[size_++] = c;
        }
        return *this;
    }

    FixedText& add(std::uint64_t number) noexcept {
        std::array<char, 20> digits{};
        std::size_t first = digits.size();
        do {
            digits[--first] = static_cast<char>('0' + number % 10);
            number /= 10;
        } while (number != 0);
        return add(std::string_view(digits.data() + first, digits.size() - first));
    }

    [[nodiscard]] std::string_view view() const noexcept { return {bytes_.data(), size_}; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

private:
    std::array<char, bytes_max> bytes_;  // not cleared: only `size_` of them are read
    std::size_t size_ = 0;
};

}  // namespace mobula
