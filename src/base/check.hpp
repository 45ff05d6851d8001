// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace mobula {

/// A line of the source. std::source_location, but for clang 14, which cannot read that of
/// libstdc++ 12.
struct SourceLine {
    const char* file;
    unsigned line;
    static constexpr SourceLine current(const char* file = __builtin_FILE(),
                                        unsigned line = __builtin_LINE()) noexcept {
        return {file, line};
    }
};

/// Prints the sentence with its place and aborts: for the engine's own bugs, never for bad input.
[[noreturn]] void fail_check(std::string_view sentence, SourceLine where) noexcept;

/// Asserts what must hold inside the engine; stays on in release builds, so keep it cheap.
inline void check(bool holds, std::string_view sentence,
                  SourceLine where = SourceLine::current()) noexcept {
    if (!holds) [[unlikely]]
        fail_check(sentence, where);
}

}  // namespace mobula
