// SPDX-License-Identifier: Apache-2.0
#include "runtime/quantity.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include <fmt/format.h>

namespace mobula::runtime {
namespace {

struct Unit {
    std::string_view suffix;
    double factor;
};

constexpr std::array byte_units{
    Unit{"", 1},      Unit{"B", 1},   Unit{"KiB", kib}, Unit{"MiB", mib}, Unit{"GiB", gib},
    Unit{"TiB", tib}, Unit{"K", kib}, Unit{"M", mib},   Unit{"G", gib},   Unit{"T", tib},
};
constexpr std::array time_units{
    Unit{"ns", 1e-9}, Unit{"us", 1e-6}, Unit{"ms", 1e-3},
    Unit{"s", 1},     Unit{"min", 60},  Unit{"h", 3600},
};

/// The number in front and what follows it, without the blanks between.
struct Split {
    double number;
    std::string_view suffix;
};

std::optional<Split> split(std::string_view text) {
    Split result{};
    // The general format takes "1e3" and also "inf" and "nan", which are no settings.
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), result.number);
    if (error != std::errc() || !std::isfinite(result.number)) return std::nullopt;
    result.suffix = text.substr(static_cast<std::size_t>(end - text.data()));
    while (!result.suffix.empty() && result.suffix.front() == ' ') result.suffix.remove_prefix(1);
    return result;
}

std::optional<double> scaled(const Split& split, std::span<const Unit> units) {
    for (const Unit& unit : units) {
        if (unit.suffix == split.suffix) return split.number * unit.factor;
    }
    return std::nullopt;
}

/// Insertions, deletions, replacements and swaps of neighbours that make one text of the other.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<std::size_t>> cost(a.size() + 1,
                                               std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i) {
        for (std::size_t j = 0; j <= b.size(); ++j) {
            if (i == 0 || j == 0) {
                cost[i][j] = i + j;
                continue;
            }
            const std::size_t differs = a[i - 1] == b[j - 1] ? 0 : 1;
            cost[i][j] =
                std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + differs});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
            }
        }
    }
    return cost[a.size()][b.size()];
}

}  // namespace

std::optional<double> parse_number(std::string_view text) {
    const std::optional<Split> parts = split(text);
    if (!parts || !parts->suffix.empty() || text.back() == ' ') return std::nullopt;
    return parts->number;
}

std::optional<double> parse_bytes(std::string_view text) {
    const std::optional<Split> parts = split(text);
    if (!parts) return std::nullopt;
    const std::optional<double> bytes = scaled(*parts, byte_units);
    constexpr double exact_max = 9007199254740992.0;
    if (!bytes || *bytes != std::floor(*bytes) || std::abs(*bytes) >= exact_max) {
        return std::nullopt;
    }
    return bytes;
}

std::optional<double> parse_time(std::string_view text, double unit_seconds) {
    const std::optional<Split> parts = split(text);
    if (!parts) return std::nullopt;
    if (parts->suffix.empty()) return parts->number;
    const std::optional<double> seconds = scaled(*parts, time_units);
    if (!seconds) return std::nullopt;
    // Takes away the last bits' noise of the conversion: 2ms are 2000 us and not
    // 2000.0000000000002.
    const double units = *seconds / unit_seconds;
    const double whole = std::round(units);
    return std::abs(units - whole) <= 1e-9 * std::abs(whole) ? whole : units;
}

std::string print_bytes(double bytes) {
    constexpr std::array names{"bytes", "KiB", "MiB", "GiB", "TiB"};
    // Quarters are still easy to read and exact; else the next smaller unit.
    std::size_t unit = names.size() - 1;
    double factor = kib * kib * kib * kib;
    while (unit > 0 && (bytes < factor || bytes / factor * 4 != std::floor(bytes / factor * 4))) {
        --unit;
        factor /= kib;
    }
    return fmt::format("{} {}", print_number(bytes / factor), names[unit]);
}

std::string print_number(double number) {
    if (number == std::floor(number) && std::abs(number) < 1e15) {
        return fmt::format("{:.0f}", number);
    }
    return fmt::format("{}", number);
}

std::string print_ranges(std::span<const unsigned> numbers) {
    std::string text;
    for (std::size_t i = 0; i < numbers.size();) {
        std::size_t last = i;
        while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
        if (!text.empty()) text += ',';
        text += std::to_string(numbers[i]);
        if (last != i) text += fmt::format("-{}", numbers[last]);
        i = last + 1;
    }
    return text.empty() ? "none" : text;
}

std::string_view nearest_name(std::string_view name, std::span<const std::string_view> names) {
    std::string_view best;
    // Farther than a third of the letters it is a guess and no help.
    std::size_t least = std::min<std::size_t>(name.size() / 3, 3) + 1;
    for (const std::string_view candidate : names) {
        const std::size_t d = distance(name, candidate);
        if (d < least) {
            least = d;
            best = candidate;
        }
    }
    return best;
}

}  // namespace mobula::runtime
