// SPDX-License-Identifier: Apache-2.0
#include "runtime/stall.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <tuple>
#include <unordered_map>

#include <fmt/format.h>

namespace mobula::runtime {

std::string waiting_key(const ObjectId& id) {
    return "object " + std::to_string(index(id.owner)) + ":" + std::to_string(id.serial);
}
namespace {

/// Of what one rank tells; beyond it the rest is left out.
constexpr std::size_t list_bytes_max = std::size_t{1} << 20U;

/// The waits between members of the list, by their places.
struct Graph {
    std::vector<std::vector<std::size_t>> targets;
    std::vector<bool> stuck;  ///< can never go on, as far as the list tells
};

Graph graph_of(std::span<const Waiting> all) {
    std::unordered_map<std::string_view, std::size_t> places;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (!all[i].key.empty()) places.emplace(all[i].key, i);
    }
    Graph graph;
    graph.targets.resize(all.size());
    graph.stuck.assign(all.size(), true);
    std::vector<std::vector<std::size_t>> waiters(all.size());
    std::vector<std::size_t> needed(all.size());
    std::vector<std::size_t> going;  // can go on, and their waiters have not been told yet
    const auto go = [&](std::size_t i) {
        if (graph.stuck[i]) going.push_back(i);
        graph.stuck[i] = false;
    };
    for (std::size_t i = 0; i < all.size(); ++i) {
        bool unknown = false;
        for (const Waiting::Target& target : all[i].targets) {
            const auto found = places.find(target.key);
            if (found == places.end()) {
                unknown = true;
                continue;
            }
            graph.targets[i].push_back(found->second);
            waiters[found->second].push_back(i);
        }
        needed[i] = all[i].any ? 1 : graph.targets[i].size();
        if (graph.targets[i].empty() || (all[i].any && unknown)) go(i);
    }
    while (!going.empty()) {
        const std::size_t done = going.back();
        going.pop_back();
        for (const std::size_t waiter : waiters[done]) {
            if (needed[waiter] > 0 && --needed[waiter] == 0) go(waiter);
        }
    }
    return graph;
}

/// The shortest way from `start` back to it through stuck ones that no circle has yet; empty if
/// there is none.
std::vector<std::size_t> circle_through(std::size_t start, const Graph& graph,
                                        const std::vector<bool>& taken) {
    std::unordered_map<std::size_t, std::size_t> reached_from;
    std::queue<std::size_t> next;
    next.push(start);
    while (!next.empty()) {
        const std::size_t at = next.front();
        next.pop();
        for (const std::size_t target : graph.targets[at]) {
            if (target == start) {
                std::vector<std::size_t> circle{at};
                while (circle.back() != start) circle.push_back(reached_from[circle.back()]);
                std::reverse(circle.begin(), circle.end());
                return circle;
            }
            if (!graph.stuck[target] || taken[target]) continue;
            if (reached_from.emplace(target, at).second) next.push(target);
        }
    }
    return {};
}

/// Takes from the stuck ones those for whom no stuck one waits, again and again: who is left is in
/// a circle or between two. Keeps the search for circles short when thousands wait behind one.
std::vector<bool> near_circles(const Graph& graph) {
    std::vector<bool> left = graph.stuck;
    std::vector<std::size_t> waiters(left.size());
    for (std::size_t i = 0; i < left.size(); ++i) {
        if (!left[i]) continue;
        for (const std::size_t target : graph.targets[i]) ++waiters[target];
    }
    std::vector<std::size_t> free;
    for (std::size_t i = 0; i < left.size(); ++i) {
        if (left[i] && waiters[i] == 0) free.push_back(i);
    }
    while (!free.empty()) {
        const std::size_t i = free.back();
        free.pop_back();
        left[i] = false;
        for (const std::size_t target : graph.targets[i]) {
            if (left[target] && --waiters[target] == 0) free.push_back(target);
        }
    }
    return left;
}

std::vector<std::vector<std::size_t>> circles_of(const Graph& graph) {
    std::vector<std::vector<std::size_t>> circles;
    const std::vector<bool> left = near_circles(graph);
    std::vector<bool> taken(left.size());
    for (std::size_t i = 0; i < left.size(); ++i) taken[i] = !left[i];
    for (std::size_t i = 0; i < left.size(); ++i) {
        if (taken[i]) continue;
        std::vector<std::size_t> circle = circle_through(i, graph, taken);
        // Either it is in a circle, or it is in none that is not printed already.
        taken[i] = true;
        for (const std::size_t member : circle) taken[member] = true;
        if (!circle.empty()) circles.push_back(std::move(circle));
    }
    return circles;
}

std::string targets_text(const Waiting& waiting) {
    constexpr std::size_t shown_max = 4;
    // Equal names are counted, in the order in which they came.
    std::vector<std::pair<std::string, std::size_t>> names;
    for (const Waiting::Target& target : waiting.targets) {
        const auto same = std::find_if(names.begin(), names.end(),
                                       [&](const auto& n) { return n.first == target.name; });
        if (same == names.end()) {
            names.emplace_back(target.name, 1);
        } else {
            ++same->second;
        }
    }
    std::string text;
    for (std::size_t i = 0; i < std::min(names.size(), shown_max); ++i) {
        if (!text.empty()) text += ", ";
        text += names[i].first;
        if (names[i].second > 1) text += fmt::format(" ({} times)", names[i].second);
    }
    if (names.size() > shown_max) text += fmt::format(" and {} others", names.size() - shown_max);
    if (text.empty()) return text;
    return (waiting.any && waiting.targets.size() > 1 ? " for one of " : " for ") + text;
}

std::string line_of(const Waiting& waiting) {
    return fmt::format("{} on rank {} {}{}", waiting.name, waiting.rank, waiting.state,
                       targets_text(waiting));
}

void print_circle(std::string& text, std::span<const Waiting> all,
                  const std::vector<std::size_t>& circle) {
    for (std::size_t i = 0; i < std::min(circle.size(), circle_lines_max); ++i) {
        const Waiting& member = all[circle[i]];
        text += fmt::format("    {}{} on rank {} {} ({:.0f} s)\n", i == 0 ? "" : "-> ", member.name,
                            member.rank, member.state, member.seconds);
    }
    if (circle.size() > circle_lines_max) {
        text += fmt::format("    -> {} others\n", circle.size() - circle_lines_max);
    }
    text += fmt::format("    -> {} on rank {}, where the circle closes\n", all[circle[0]].name,
                        all[circle[0]].rank);
}

/// Lines of the same text become one with their number and the longest time.
void print_lines(std::string& text, std::span<const Waiting> all,
                 const std::vector<std::size_t>& members) {
    std::map<std::string, std::pair<std::size_t, double>> lines;
    for (const std::size_t i : members) {
        auto& [count, seconds] = lines[line_of(all[i])];
        ++count;
        seconds = std::max(seconds, all[i].seconds);
    }
    std::vector<std::tuple<double, std::string, std::size_t>> sorted;
    for (const auto& [line, sums] : lines) sorted.emplace_back(-sums.second, line, sums.first);
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t i = 0; i < std::min(sorted.size(), waiting_lines_max); ++i) {
        const auto& [seconds, line, count] = sorted[i];
        const std::string times = count == 1 ? "" : fmt::format("{} times ", count);
        text += fmt::format("    {}{} ({:.0f} s)\n", times, line, -seconds);
    }
    if (sorted.size() > waiting_lines_max) {
        text += fmt::format("    and {} more lines\n", sorted.size() - waiting_lines_max);
    }
}

}  // namespace

void Waiting::encode(wire::RecordWriter& writer) const {
    writer.text(key).text(name).put(rank).text(state).put(seconds);
    writer.put(static_cast<std::uint8_t>(any)).put(static_cast<std::uint32_t>(targets.size()));
    for (const Target& target : targets) writer.text(target.key).text(target.name);
}

Waiting Waiting::decode(wire::RecordReader& reader) {
    Waiting waiting;
    waiting.key = reader.text();
    waiting.name = reader.text();
    waiting.rank = reader.get<unsigned>();
    waiting.state = reader.text();
    waiting.seconds = reader.get<double>();
    waiting.any = reader.get<std::uint8_t>() != 0;
    const std::uint32_t count = reader.count(2 * sizeof(std::uint32_t));
    for (std::uint32_t i = 0; i < count; ++i) {
        std::string target_key(reader.text());
        waiting.targets.push_back({std::move(target_key), std::string(reader.text())});
    }
    return waiting;
}

void name_promises(std::vector<Waiting>& all) {
    std::set<std::string, std::less<>> promises;
    for (const Waiting& one : all) {
        if (one.name == promise_name) promises.insert(one.key);
    }
    if (promises.empty()) return;
    for (Waiting& one : all) {
        for (Waiting::Target& target : one.targets) {
            if (promises.contains(target.key)) target.name = promise_name;
        }
    }
}

void put_list(wire::RecordWriter& writer, std::span<const Waiting> list) {
    const std::size_t count_at = writer.size();
    std::uint32_t count = 0;
    writer.put(count);
    for (const Waiting& one : list) {
        if (writer.size() > list_bytes_max) break;
        one.encode(writer);
        ++count;
    }
    writer.patch(count_at, count);
}

std::vector<Waiting> read_list(wire::RecordReader& reader) {
    const std::uint32_t count = reader.count(1);
    std::vector<Waiting> list;
    for (std::uint32_t i = 0; i < count; ++i) list.push_back(Waiting::decode(reader));
    return list;
}

std::vector<std::vector<std::size_t>> find_circles(std::span<const Waiting> all) {
    return circles_of(graph_of(all));
}

std::string print_waiting(std::span<const Waiting> all, double stalled_seconds) {
    const Graph graph = graph_of(all);
    const std::vector<std::vector<std::size_t>> circles = circles_of(graph);
    std::vector<bool> in_circle(all.size());
    std::string text = fmt::format("nothing has moved for {:.0f} s; {} wait or run\n",
                                   stalled_seconds, all.size());
    for (std::size_t number = 0; number < circles.size(); ++number) {
        for (const std::size_t member : circles[number]) in_circle[member] = true;
        if (number >= circles_max) continue;
        text += fmt::format("  circle {}: these wait for each other and will never go on\n",
                            number + 1);
        print_circle(text, all, circles[number]);
    }
    if (circles.size() > circles_max) {
        text += fmt::format("  and {} more circles\n", circles.size() - circles_max);
    }
    std::vector<std::size_t> behind, others;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (!in_circle[i]) (graph.stuck[i] ? behind : others).push_back(i);
    }
    if (!behind.empty()) text += "  these wait behind a circle\n";
    print_lines(text, all, behind);
    if (!others.empty()) text += "  these are in no circle\n";
    print_lines(text, all, others);
    return text;
}

}  // namespace mobula::runtime
