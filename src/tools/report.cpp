// SPDX-License-Identifier: Apache-2.0
#include "tools/report.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <map>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

namespace mobula::tools {

namespace {

constexpr std::string_view of_peer = "network: rank ";

/// "1-3,5" of ascending numbers.
std::string ranges(const std::vector<unsigned>& numbers) {
    std::string text;
    for (std::size_t i = 0; i < numbers.size();) {
        std::size_t last = i;
        while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
        text += fmt::format("{}{}", text.empty() ? "" : ",", numbers[i]);
        if (last != i) text += fmt::format("-{}", numbers[last]);
        i = last + 1;
    }
    return text;
}

/// Makes one line of those that tell the same of several peers, at the place of the first.
std::vector<std::string> merge_peers(const std::vector<std::string>& facts, std::size_t ranks) {
    struct Line {
        std::string text;
        std::vector<unsigned> peers;
    };
    std::vector<Line> lines;
    std::map<std::string, std::size_t> places;
    for (const std::string& fact : facts) {
        unsigned peer = 0;
        const char* const end = fact.data() + fact.size();
        const char* const digits = fact.data() + std::min(fact.size(), of_peer.size());
        const auto [rest, error] = std::from_chars(digits, end, peer);
        if (!fact.starts_with(of_peer) || error != std::errc()) {
            lines.push_back({fact, {}});
            continue;
        }
        const auto [place, is_new] = places.emplace(std::string(rest, end), lines.size());
        if (is_new) lines.push_back({place->first, {}});
        lines[place->second].peers.push_back(peer);
    }
    std::vector<std::string> merged;
    for (const Line& line : lines) {
        const std::size_t peers = line.peers.size();
        const std::string who = peers == 0           ? ""
                                : peers == 1         ? fmt::format("{}{}", of_peer, line.peers[0])
                                : peers + 1 == ranks ? "network: each other rank"
                                                     : "network: ranks " + ranges(line.peers);
        merged.push_back(who + line.text);
    }
    return merged;
}

}  // namespace

std::string report(const std::vector<std::vector<std::string>>& all) {
    std::vector<std::vector<std::string>> facts;
    for (const std::vector<std::string>& rank : all) facts.push_back(merge_peers(rank, all.size()));
    std::map<std::string, std::size_t> told_by;
    for (const std::vector<std::string>& rank : facts) {
        std::vector<std::string> once = rank;
        std::sort(once.begin(), once.end());
        once.erase(std::unique(once.begin(), once.end()), once.end());
        for (const std::string& fact : once) ++told_by[fact];
    }
    std::string text;
    if (facts.size() > 1) {
        text += "all ranks\n";
        for (const std::string& fact : facts.front()) {
            if (told_by[fact] == facts.size()) text += fmt::format("  {}\n", fact);
        }
    }
    for (std::size_t rank = 0; rank < facts.size(); ++rank) {
        std::string own;
        for (const std::string& fact : facts[rank]) {
            if (facts.size() == 1 || told_by[fact] != facts.size()) {
                own += fmt::format("  {}\n", fact);
            }
        }
        if (!own.empty()) text += fmt::format("rank {}\n{}", rank, own);
    }
    return text;
}

std::string nccl_version_text(int number) {
    if (number <= 0) return "unknown";
    // From 2.9 on: major * 10000 + minor * 100 + patch; before: thousands.
    const int unit = number >= 10000 ? 10000 : 1000;
    return fmt::format("{}.{}.{}", number / unit, number % unit / 100, number % 100);
}

}  // namespace mobula::tools
