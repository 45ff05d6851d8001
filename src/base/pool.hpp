// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace mobula {

/// Blocks of up to pool_bytes_max bytes from per-thread lists, for what is made once per task or
/// object: a few instructions each, no lock unless a list runs empty or over. A block may be freed
/// by another thread than it came from; lists that grow over give blocks back to all in batches.
/// Blocks are 16-byte aligned; their memory stays with the process. Thread-safe.
[[nodiscard]] void* pool_allocate(std::size_t bytes);
void pool_free(void* block, std::size_t bytes) noexcept;

inline constexpr std::size_t pool_bytes_max = 1024;

/// Base of what is made one by one with new and shall come from the pools.
struct Pooled {
    static void* operator new(std::size_t bytes) { return pool_allocate(bytes); }
    static void operator delete(void* block, std::size_t bytes) noexcept {
        pool_free(block, bytes);
    }
};

/// Bytes that the pools took from the system so far.
[[nodiscard]] std::size_t pool_reserved_bytes() noexcept;

}  // namespace mobula
