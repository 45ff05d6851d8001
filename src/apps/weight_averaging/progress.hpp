// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

#include "apps/weight_averaging/curve.hpp"

namespace weight_averaging {

/// What the progress line tells.
struct ProgressState {
    std::uint64_t round = 0, rounds = 0;         ///< round: under way, or just finished
    std::uint64_t images = 0, images_total = 0;  ///< of this run
    double seconds = 0;                          ///< of this run
    std::optional<double> loss, accuracy;        ///< the newest known
};

/// One line of plain text without its end.
[[nodiscard]] std::string progress_text(const ProgressState& state);
/// The same with a bar in front, cut to the width of the terminal.
[[nodiscard]] std::string progress_bar(const ProgressState& state, std::size_t columns);

/// The width of the terminal behind standard output, 0 when there is none. mpirun gives its ranks
/// a pseudo terminal of its own without a width: then what counts is where mpirun's output goes.
[[nodiscard]] std::size_t terminal_columns();

/// Shows the run: on a terminal one line that is drawn anew several times a second, else a line per
/// round. Thread-bound.
class Progress {
public:
    Progress(std::FILE* out, std::size_t columns, std::uint64_t rounds, std::uint64_t images_total,
             std::uint64_t rounds_before);
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    ~Progress();

    /// So many more images were trained.
    void add_images(std::uint64_t images);
    /// A round's result is known.
    void add_point(const Point& point);
    /// Draws the line anew when it is time for it.
    void tick();
    [[nodiscard]] double seconds() const;

private:
    void draw();

    using Clock = std::chrono::steady_clock;
    std::FILE* out_;
    std::size_t columns_;
    ProgressState state_;
    Clock::time_point start_ = Clock::now(), drawn_{};
};

}  // namespace weight_averaging
