// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>

#include "worker/stack.hpp"
#include "worker/watchers.hpp"

namespace mobula::worker {

struct Frame;

/// A stack with a computation on it that can be left and gone on with, on one thread only.
/// Thread-bound: `switch_to` runs on the fiber's thread; `next` belongs to whoever queues it.
class Fiber {
public:
    /// The calling thread's own stack.
    Fiber() noexcept;
    /// A stack of its own. Runs `entry(argument)` at the first switch; entry never returns. Throws
    /// std::bad_alloc.
    Fiber(std::size_t stack_bytes, void (*entry)(void*), void* argument);
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    /// Leaves this fiber, which is running, for `other`; returns when somebody switches back.
    void switch_to(Fiber& other) noexcept;

    /// Gives the memory of a suspended fiber back that it touched deep in its stack, below what it
    /// needs to go on; does nothing when it has not run since.
    void trim() noexcept;
    /// Its stack; null for a thread's own.
    [[nodiscard]] const Stack* stack() const noexcept { return stack_ ? &*stack_ : nullptr; }

    Fiber* next = nullptr;
    Frame* frame = nullptr;  ///< the task execution that was suspended on it

private:
    void* context_ = nullptr;
    void (*entry_)(void*) = nullptr;
    void* argument_ = nullptr;
    void* exceptions_[2] = {nullptr, nullptr};  // what is being caught and thrown here
    bool trimmed_ = true;
    WatchedStack watched_;
    std::optional<Stack> stack_;
};

/// So many fibers the kernel gives the process mappings for, two each, with some left for all else.
[[nodiscard]] std::size_t fibers_max() noexcept;

}  // namespace mobula::worker
