// SPDX-License-Identifier: Apache-2.0
#pragma once

/// A dependency-pattern problem: `steps` steps of `width` points; the task (t, p) reads outputs of
/// tasks (t-1, q). Pure: knows no engine, no MPI and no clock, so that the serial, the MPI and the
/// mobula program run the same graph and check the same data.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace patterns {

enum class Pattern : std::uint8_t {
    trivial,
    no_comm,
    stencil_1d,
    nearest,
    spread,
    fft,
    tree,
    all_to_all,
    random_nearest
};

inline constexpr std::array<std::string_view, 9> pattern_names{
    "trivial", "no_comm", "stencil_1d", "nearest",       "spread",
    "fft",     "tree",    "all_to_all", "random_nearest"};

[[nodiscard]] constexpr std::string_view name_of(Pattern pattern) {
    return pattern_names[static_cast<std::size_t>(pattern)];
}

[[nodiscard]] constexpr std::optional<Pattern> pattern_of(std::string_view name) {
    for (std::size_t i = 0; i < pattern_names.size(); ++i) {
        if (pattern_names[i] == name) return static_cast<Pattern>(i);
    }
    return std::nullopt;
}

struct Problem {
    Pattern pattern = Pattern::stencil_1d;
    std::uint32_t steps = 1000;
    std::uint32_t width = 16;
    std::uint32_t radix = 5;       ///< predecessors of nearest, spread and random_nearest
    std::uint32_t period = 3;      ///< after which spread and random_nearest repeat
    double fraction = 0.5;         ///< of its window that a point of random_nearest reads
    std::uint64_t iterations = 0;  ///< of the compute kernel per task; 0: an empty task
};

/// ceil(log2(n)), and 1 for n < 3: the number of different steps of a butterfly of n points.
[[nodiscard]] constexpr std::uint32_t levels(std::uint32_t n) {
    std::uint32_t count = 1;
    while ((std::uint64_t{1} << count) < n) ++count;
    return count;
}

/// How many points step t has; they are 0 .. active-1.
[[nodiscard]] constexpr std::uint32_t active(const Problem& problem, std::uint32_t t) {
    if (problem.pattern != Pattern::tree || t >= 31) return problem.width;
    return std::min(problem.width, std::uint32_t{1} << t);
}

/// Steps of one class (t > 0) have the same points and the same edges.
[[nodiscard]] constexpr std::uint32_t step_class(const Problem& problem, std::uint32_t t) {
    switch (problem.pattern) {
        case Pattern::fft: return (t - 1) % levels(problem.width);
        case Pattern::spread:
        case Pattern::random_nearest: return t % problem.period;
        case Pattern::tree: return std::min(t - 1, levels(problem.width));
        default: return 0;
    }
}

[[nodiscard]] constexpr std::uint32_t step_classes(const Problem& problem) {
    switch (problem.pattern) {
        case Pattern::fft: return levels(problem.width);
        case Pattern::spread:
        case Pattern::random_nearest: return problem.period;
        case Pattern::tree: return levels(problem.width) + 1;
        default: return 1;
    }
}

/// A number in 0..1 that is the same on every machine (splitmix64 of all that it depends on).
[[nodiscard]] constexpr double chance(std::uint64_t radix, std::uint64_t phase, std::uint64_t q,
                                      std::uint64_t p) {
    std::uint64_t x = 0;
    for (const std::uint64_t part : {radix, phase, q, p}) {
        x += part + 0x9e3779b97f4a7c15U;
        x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
        x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
        x ^= x >> 31U;
    }
    return static_cast<double>(x >> 11U) * 0x1p-53;
}

/// The points of step t-1 that (t, p) reads, ascending and without repetition.
[[nodiscard]] inline std::vector<std::uint32_t> predecessors(const Problem& problem,
                                                             std::uint32_t t, std::uint32_t p) {
    std::vector<std::uint32_t> found;
    if (t == 0) return found;
    const auto width = static_cast<std::int64_t>(problem.width);
    const auto at = static_cast<std::int64_t>(p);
    const auto radix = static_cast<std::int64_t>(problem.radix);
    const auto add = [&](std::int64_t q) {
        if (q >= 0 && q < width) found.push_back(static_cast<std::uint32_t>(q));
    };
    switch (problem.pattern) {
        case Pattern::trivial: break;
        case Pattern::no_comm: add(at); break;
        case Pattern::stencil_1d:
            for (std::int64_t q = at - 1; q <= at + 1; ++q) add(q);
            break;
        case Pattern::nearest:
            for (std::int64_t q = at - radix / 2; q <= at + (radix - 1) / 2; ++q) add(q);
            break;
        case Pattern::spread: {
            const std::int64_t shift = t % problem.period;
            for (std::int64_t i = 0; i < radix; ++i) {
                add((at + i * width / radix + (i > 0 ? shift : 0)) % width);
            }
            break;
        }
        case Pattern::fft: {
            const std::int64_t distance = std::int64_t{1} << step_class(problem, t);
            for (const std::int64_t q : {at - distance, at, at + distance}) add(q);
            break;
        }
        case Pattern::tree: add(at / 2); break;
        case Pattern::all_to_all:
            for (std::int64_t q = 0; q < width; ++q) add(q);
            break;
        case Pattern::random_nearest:
            for (std::int64_t q = at - radix / 2; q <= at + (radix - 1) / 2; ++q) {
                const bool kept = chance(problem.radix, t % problem.period,
                                         static_cast<std::uint64_t>(q), p) < problem.fraction;
                if (q == at || kept) add(q);
            }
            break;
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
}

/// Points in `count` contiguous blocks of nearly the same size.
struct Blocks {
    std::uint32_t width = 1;
    std::uint32_t count = 1;

    [[nodiscard]] constexpr std::uint32_t first(std::uint32_t block) const {
        return static_cast<std::uint32_t>(std::uint64_t{width} * block / count);
    }
    [[nodiscard]] constexpr std::uint32_t owner(std::uint32_t p) const {
        return static_cast<std::uint32_t>(((std::uint64_t{p} + 1) * count - 1) / width);
    }
};

/// All edges of a problem, worked out once. Reentrant.
class Edges {
public:
    explicit Edges(const Problem& problem) : problem_(problem) {
        for (std::uint32_t c = 0; c < step_classes(problem); ++c) classes_.emplace_back(*this, c);
    }

    [[nodiscard]] std::span<const std::uint32_t> predecessors(std::uint32_t t,
                                                              std::uint32_t p) const {
        if (t == 0) return {};
        return classes_[step_class(problem_, t)].predecessors[p];
    }

    /// Whether any task of step t+1 reads (t, p).
    [[nodiscard]] bool is_read(std::uint32_t t, std::uint32_t p) const {
        if (t + 1 >= problem_.steps) return false;
        return classes_[step_class(problem_, t + 1)].is_read[p];
    }

    /// The points of block `from` that points of block `to` read at step t, ascending.
    [[nodiscard]] std::vector<std::uint32_t> halo(const Blocks& blocks, std::uint32_t t,
                                                  std::uint32_t from, std::uint32_t to) const {
        std::vector<std::uint32_t> points;
        const std::uint32_t end = std::min(blocks.first(to + 1), active(problem_, t));
        for (std::uint32_t p = blocks.first(to); p < end; ++p) {
            for (const std::uint32_t q : predecessors(t, p)) {
                if (blocks.owner(q) == from) points.push_back(q);
            }
        }
        std::sort(points.begin(), points.end());
        points.erase(std::unique(points.begin(), points.end()), points.end());
        return points;
    }

    [[nodiscard]] std::uint64_t tasks() const {
        std::uint64_t sum = 0;
        for (std::uint32_t t = 0; t < problem_.steps; ++t) sum += active(problem_, t);
        return sum;
    }
    [[nodiscard]] std::uint64_t edges() const {
        std::uint64_t sum = 0;
        for (std::uint32_t t = 1; t < problem_.steps; ++t) {
            sum += classes_[step_class(problem_, t)].edges;
        }
        return sum;
    }

private:
    struct Class {
        Class(const Edges& all, std::uint32_t number)
            : predecessors(all.problem_.width), is_read(all.problem_.width) {
            std::uint32_t t = 1;
            while (step_class(all.problem_, t) != number) ++t;
            for (std::uint32_t p = 0; p < active(all.problem_, t); ++p) {
                predecessors[p] = patterns::predecessors(all.problem_, t, p);
                edges += predecessors[p].size();
                for (const std::uint32_t q : predecessors[p]) is_read[q] = true;
            }
        }
        std::vector<std::vector<std::uint32_t>> predecessors;
        std::vector<bool> is_read;
        std::uint64_t edges = 0;
    };

    Problem problem_;
    std::vector<Class> classes_;
};

/// Which task made the bytes.
struct Stamp {
    std::uint64_t step = 0, point = 0;
    bool operator==(const Stamp&) const = default;
};

/// What a task gives: its stamp over and over.
template <std::size_t stamps>
using Output = std::array<Stamp, stamps>;

/// Operations of one iteration of the kernel: a multiplication and an addition on 64 numbers.
inline constexpr double flops_per_iteration = 128;

/// The compute-bound kernel: the same object code in every program, for it is not inlined.
[[gnu::noinline]] inline void compute(std::uint64_t iterations) {
    alignas(64) std::array<double, 64> numbers;
    numbers.fill(1.2345);
    for (std::uint64_t i = 0; i < iterations; ++i) {
        for (double& number : numbers) number = number * 0.5 + 0.25;
        // Keeps the compiler from joining or dropping iterations.
        asm volatile("" : : "r"(numbers.data()) : "memory");
    }
}

/// One task: checks every byte of every input, computes, fills the output. `inputs[i]` is the
/// output of (t-1, predecessors[i]). Throws std::runtime_error on wrong data.
template <std::size_t stamps, class Inputs>
void run_point(const Problem& problem, const Edges& edges, std::uint32_t t, std::uint32_t p,
               const Inputs& inputs, Output<stamps>& output) {
    const std::span<const std::uint32_t> expected = edges.predecessors(t, p);
    bool right = inputs.size() == expected.size();
    for (std::size_t i = 0; right && i < expected.size(); ++i) {
        const Stamp stamp{t - 1, expected[i]};
        for (const Stamp& each : *inputs[i]) right = right && each == stamp;
    }
    if (!right) {
        throw std::runtime_error("wrong input at step " + std::to_string(t) + ", point " +
                                 std::to_string(p));
    }
    if (problem.iterations > 0) compute(problem.iterations);
    output.fill(Stamp{t, p});
}

}  // namespace patterns
