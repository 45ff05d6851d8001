// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <source_location>
#include <string_view>

namespace mobula {

/// Prints the sentence with its place and aborts: for the engine's own bugs, never for bad input.
[[noreturn]] void fail_check(std::string_view sentence, std::source_location where) noexcept;

/// Asserts what must hold inside the engine; stays on in release builds, so keep it cheap.
inline void check(bool holds, std::string_view sentence,
                  std::source_location where = std::source_location::current()) noexcept {
    if (!holds) [[unlikely]] fail_check(sentence, where);
}

}  // namespace mobula
