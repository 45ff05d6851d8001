// SPDX-License-Identifier: Apache-2.0
#include "apps/weight_averaging/progress.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>

namespace weight_averaging {
namespace {

std::string minutes(double seconds) {
    const auto whole = static_cast<std::uint64_t>(std::min(std::ceil(seconds), 1e9));
    if (whole >= 3600) {
        return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
    }
    return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

double images_per_second(const ProgressState& state) {
    return state.seconds > 0 ? static_cast<double>(state.images) / state.seconds : 0;
}

std::size_t columns_of(int terminal) {
    winsize size{};
    return ioctl(terminal, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

constexpr auto redraw_interval = std::chrono::milliseconds(200);

}  // namespace

std::string progress_text(const ProgressState& state) {
    std::string text = fmt::format("round {:>{}}/{}", state.round,
                                   std::to_string(state.rounds).size(), state.rounds);
    if (state.loss) text += fmt::format("  loss {:.3f}", *state.loss);
    if (state.accuracy) text += fmt::format("  accuracy {:.2f} %", *state.accuracy * 100);
    const double speed = images_per_second(state);
    text += fmt::format("  {:.0f} images/s", speed);
    if (speed > 0 && state.images < state.images_total) {
        const auto left = static_cast<double>(state.images_total - state.images);
        text += fmt::format("  {} left", minutes(left / speed));
    }
    return text;
}

std::string progress_bar(const ProgressState& state, std::size_t columns) {
    constexpr std::size_t bar_columns_max = 30, bar_columns_min = 5;
    const double done = state.images_total == 0 ? 1
                                                : static_cast<double>(state.images) /
                                                      static_cast<double>(state.images_total);
    const std::string text = progress_text(state);
    const std::string share = fmt::format(" {:3.0f} %  ", std::min(done, 1.0) * 100);
    const std::size_t used = text.size() + share.size() + 2;
    std::string line;
    if (used + bar_columns_min <= columns) {
        const std::size_t width = std::min(bar_columns_max, columns - used);
        const auto full =
            static_cast<std::size_t>(std::min(done, 1.0) * static_cast<double>(width));
        line.append(1, '[').append(full, '#').append(width - full, '-').append(1, ']');
    }
    line += share + text;
    line.resize(std::min(line.size(), columns));
    return line;
}

std::size_t terminal_columns() {
    if (isatty(STDOUT_FILENO) == 0) return 0;
    const char* kind = std::getenv("TERM");
    if (kind == nullptr || std::string_view(kind) == "dumb") return 0;
    if (const std::size_t columns = columns_of(STDOUT_FILENO); columns > 0) return columns;
    // Opening a pipe or a file this way has no effect on it; a terminal must not become ours.
    const std::string launcher = fmt::format("/proc/{}/fd/1", getppid());
    const int terminal = open(launcher.c_str(), O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (terminal < 0) return 0;
    const std::size_t columns = isatty(terminal) != 0 ? columns_of(terminal) : 0;
    close(terminal);
    return columns;
}

Progress::Progress(std::FILE* out, std::size_t columns, std::uint64_t rounds,
                   std::uint64_t images_total, std::uint64_t rounds_before)
    : out_(out), columns_(columns) {
    state_.round = rounds_before + 1;
    state_.rounds = rounds;
    state_.images_total = images_total;
    draw();
}

Progress::~Progress() {
    // What is printed next starts on a clean line.
    if (columns_ > 0) std::fputs("\r\033[K", out_);
    std::fflush(out_);
}

void Progress::add_images(std::uint64_t images) {
    state_.images += images;
    tick();
}

void Progress::add_point(const Point& point) {
    state_.round = point.round;
    state_.loss = point.loss;
    state_.accuracy = point.accuracy;
    if (columns_ > 0) {
        state_.round = std::min(point.round + 1, state_.rounds);
        draw();
        return;
    }
    state_.seconds = seconds();
    fmt::print(out_, "{}\n", progress_text(state_));
    std::fflush(out_);
}

void Progress::tick() {
    if (Clock::now() - drawn_ >= redraw_interval) draw();
}

double Progress::seconds() const {
    return std::chrono::duration<double>(Clock::now() - start_).count();
}

void Progress::draw() {
    if (columns_ == 0) return;
    drawn_ = Clock::now();
    state_.seconds = seconds();
    // One column stays free: many terminals wrap as soon as the last one is written.
    fmt::print(out_, "\r{}\033[K", progress_bar(state_, columns_ - 1));
    std::fflush(out_);
}

}  // namespace weight_averaging
