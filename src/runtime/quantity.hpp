// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mobula::runtime {

/// In bytes.
inline constexpr double kib = 1024, mib = 1024 * kib, gib = 1024 * mib, tib = 1024 * gib;

/// A number as people write it; the whole text must be one. Empty for everything else, also for
/// "inf" and "nan". Pure, as all of this header; reentrant.
[[nodiscard]] std::optional<double> parse_number(std::string_view text);

/// A size: "4096", "64 KiB", "1.5GiB", also K, M, G, T for the same powers of 1024. Empty for
/// anything else, for parts of a byte and from 2^53 bytes on.
[[nodiscard]] std::optional<double> parse_bytes(std::string_view text);

/// A time in units of `unit_seconds`: "30" is that many units, "500ms", "20 us", "1.5s", "2min"
/// and "1h" are what they say. Empty for anything else.
[[nodiscard]] std::optional<double> parse_time(std::string_view text, double unit_seconds);

/// "1 MiB", "1.5 GiB", "4097 bytes": exact, so that it can be given back to parse_bytes.
[[nodiscard]] std::string print_bytes(double bytes);

/// The shortest decimal form that means the same number: "30", "0.5".
[[nodiscard]] std::string print_number(double number);

/// "0-3,8" of ascending numbers; "none".
[[nodiscard]] std::string print_ranges(std::span<const unsigned> numbers);

/// The name that was most likely meant, where one is near enough; else empty.
[[nodiscard]] std::string_view nearest_name(std::string_view name,
                                            std::span<const std::string_view> names);

}  // namespace mobula::runtime
