// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "graph/task.hpp"

namespace mobula::runtime {

class AnyOf;
void drop(AnyOf* any) noexcept;

}  // namespace mobula::runtime

namespace mobula::worker {

/// One execution of a task, on the stack of the worker that runs it.
struct Frame {
    detail::Task* task = nullptr;  ///< null: the driver
    std::uint64_t caller = 0;      ///< tells callers of actors apart
    std::uint64_t started = 0;     ///< in ticks
    bool driver = false;
    runtime::AnyOf* any = nullptr;  ///< what it has waited for by wait_for_any; owned

    Frame() = default;
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;
    ~Frame() {
        if (any != nullptr) [[unlikely]]
            runtime::drop(any);
    }
};

}  // namespace mobula::worker
