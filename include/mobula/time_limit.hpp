// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <type_traits>

namespace mobula {
namespace detail {
template <class T>
inline constexpr bool has_a_unit = false;
}  // namespace detail

/// How long a call waits at most: `get(ref, 20ms)`. Any duration of std::chrono becomes one,
/// however long; std::nullopt and limits of more than a hundred years stand for a wait without an
/// end, and negative ones for none. A value, reentrant.
class TimeLimit {
public:
    // NOLINTBEGIN(google-explicit-constructor): callers write durations
    TimeLimit(std::nullopt_t = std::nullopt) noexcept {}
    template <class Rep, class Period>
    TimeLimit(std::chrono::duration<Rep, Period> limit) noexcept {
        const double seconds = std::chrono::duration<double>(limit).count();
        if (seconds < 0) {
            limit_.emplace(0);
        } else if (seconds < longest_s) {
            limit_ = std::chrono::duration_cast<std::chrono::nanoseconds>(limit);
        }
    }
    template <class Rep, class Period>
    TimeLimit(const std::optional<std::chrono::duration<Rep, Period>>& limit) noexcept
        : TimeLimit(limit ? TimeLimit(*limit) : TimeLimit()) {}
    template <class Number>
        requires std::is_arithmetic_v<Number>
    TimeLimit(Number) noexcept {
        static_assert(detail::has_a_unit<Number>,
                      "mobula: a time limit has a unit: get(ref, std::chrono::seconds(5)), or 5s");
    }
    // NOLINTEND(google-explicit-constructor)

    /// The time at which it ends when it begins now; none: never.
    [[nodiscard]] std::optional<std::chrono::steady_clock::time_point> deadline() const {
        if (!limit_) return std::nullopt;
        return std::chrono::steady_clock::now() + *limit_;
    }

private:
    static constexpr double longest_s = 4e9;  ///< the clock's end is twice as far

    std::optional<std::chrono::nanoseconds> limit_;
};

}  // namespace mobula
