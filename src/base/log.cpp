// SPDX-License-Identifier: Apache-2.0
#include "base/log.hpp"

#include <atomic>
#include <cstdio>
#include <string>

namespace mobula::log {
namespace {

std::atomic<Level> current_level{Level::warning};
std::atomic<unsigned> current_rank{0};

const char* word(Level level) noexcept {
    switch (level) {
        case Level::debug: return "debug";
        case Level::info: return "info";
        case Level::warning: return "warning";
        default: return "error";
    }
}

}  // namespace

void configure(Level level, unsigned rank) {
    current_level = level;
    current_rank = rank;
}

bool enabled(Level level) noexcept {
    return level >= current_level.load(std::memory_order_relaxed);
}

void write(Level level, std::string_view line) {
    if (!enabled(level)) return;
    // One write call per line keeps the lines of several ranks whole on a shared terminal.
    std::string text = "mobula[" + std::to_string(current_rank.load()) + "] " + word(level) + ": ";
    text.append(line).push_back('\n');
    std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace mobula::log
