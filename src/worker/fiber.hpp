// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace mobula::worker {

struct Frame;

/// A stack with a computation on it that can be left and gone on with, on one thread only.
/// Thread-bound: `switch_to` runs on the fiber's thread; `next` belongs to whoever queues it.
class Fiber {
public:
    /// The calling thread's own stack.
    Fiber() noexcept;
    /// A stack of its own, of which only touched pages cost memory, with a guard page below. Runs
    /// `entry(argument)` at the first switch; entry never returns. Throws std::bad_alloc.
    Fiber(std::size_t stack_bytes, void (*entry)(void*), void* argument);
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    /// Leaves this fiber, which is running, for `other`; returns when somebody switches back.
    void switch_to(Fiber& other) noexcept;

    Fiber* next = nullptr;
    Frame* frame = nullptr;  ///< the task execution that was suspended on it

private:
    void arrive(Fiber& from) noexcept;

    void* context_ = nullptr;
    std::byte* stack_ = nullptr;
    std::size_t stack_bytes_ = 0;
    void (*entry_)(void*) = nullptr;
    void* argument_ = nullptr;
    void* exceptions_[2] = {nullptr, nullptr};  // what is being caught and thrown here
    void* fake_stack_ = nullptr;                // of the address sanitizer
    const void* bottom_ = nullptr;
    std::size_t bottom_bytes_ = 0;
    void* sanitizer_fiber_ = nullptr;  // of the thread sanitizer
};

/// So many fibers the kernel gives the process mappings for, two each, with some left for all else.
[[nodiscard]] std::size_t fibers_max() noexcept;

}  // namespace mobula::worker
