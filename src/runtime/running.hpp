// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/fatal_signals.hpp"

namespace mobula::runtime {

/// What the calling thread runs: "the driver", a task's own name or that of its function; empty
/// where it runs neither. Async-signal-safe.
[[nodiscard]] std::string_view running_name() noexcept;

/// A hook for fatal signals: adds to the sentence that a stack was full, of which task, its size
/// and the setting.
void tell_full_stack(fatal::Event& event) noexcept;

}  // namespace mobula::runtime
