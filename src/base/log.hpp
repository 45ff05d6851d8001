// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace mobula::log {

enum class Level { debug, info, warning, error, off };

/// Sets the level and the rank that stands in front of every line; call once at start.
void configure(Level level, unsigned rank);

/// Thread-safe. Formats nothing itself: give it a finished line, and ask `enabled` first where
/// making the line costs something. Never call it per task or per message.
void write(Level level, std::string_view line);

[[nodiscard]] bool enabled(Level level) noexcept;

inline void debug(std::string_view line) { write(Level::debug, line); }
inline void info(std::string_view line) { write(Level::info, line); }
inline void warning(std::string_view line) { write(Level::warning, line); }
inline void error(std::string_view line) { write(Level::error, line); }

}  // namespace mobula::log
