// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace mobula::worker {

/// Memory for a stack, of which only touched pages cost anything, above a guard that cannot be
/// touched. The guard is as large as arrays on stacks usually are, so that a frame which does not
/// fit ends in it and not in the memory below. Reentrant.
class Stack {
public:
    /// `bytes` in whole pages. Throws std::bad_alloc.
    explicit Stack(std::size_t bytes);
    ~Stack();
    Stack(const Stack&) = delete;
    Stack& operator=(const Stack&) = delete;

    [[nodiscard]] std::byte* bottom() const noexcept { return memory_ + guard_bytes_; }
    [[nodiscard]] std::byte* top() const noexcept { return bottom() + bytes_; }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    [[nodiscard]] bool guards(const void* address) const noexcept;

    /// Gives the pages that were touched back, except for the first few, which nearly every use
    /// touches. What was on the stack is deep in it no longer needed.
    void trim() noexcept;

private:
    std::size_t bytes_;
    std::size_t guard_bytes_;
    std::byte* memory_;
    unsigned valgrind_ = 0;
};

}  // namespace mobula::worker
