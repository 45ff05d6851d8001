// SPDX-License-Identifier: Apache-2.0
#include "base/pool.hpp"

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "base/spinlock.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MOBULA_NO_POOL
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MOBULA_NO_POOL
#endif
#endif

namespace mobula {

#if defined(MOBULA_NO_POOL)

// A sanitizer can only tell of a freed block that really was freed.
void* pool_allocate(std::size_t bytes) { return ::operator new(bytes); }
void pool_free(void* block, std::size_t) noexcept { ::operator delete(block); }
std::size_t pool_reserved_bytes() noexcept { return 0; }

#else

namespace {

constexpr std::size_t class_bytes = 32;
constexpr std::size_t classes = pool_bytes_max / class_bytes;
constexpr std::size_t chunk_bytes = std::size_t{64} << 10U;
constexpr std::size_t batch_blocks = 128;  // given back or taken at once
constexpr std::size_t list_blocks_max = 2 * batch_blocks;

struct Block {
    Block* next;
};

/// Batches that threads gave back, for whoever runs empty; never destroyed, because threads may
/// free blocks while the process ends.
struct Shared {
    Spinlock lock;
    std::vector<Block*> batches;  // each a list of batch_blocks
};

Shared& shared_of(std::size_t number) {
    static auto* const all = new std::array<Shared, classes>();
    return (*all)[number];
}

std::atomic<std::size_t> reserved{0};

/// Memory of the system, in regions that the kernel may back with one huge page each: hundred
/// thousands of tasks are visited in an order that no cache foresees, and small pages would cost a
/// walk through their tables for each of them. Never given back.
class Regions {
public:
    [[nodiscard]] std::byte* take_chunk() {
        std::lock_guard guard(lock_);
        if (left_ == 0) map();
        left_ -= chunk_bytes;
        reserved.fetch_add(chunk_bytes, std::memory_order_relaxed);
        return std::exchange(next_, next_ + chunk_bytes);
    }

private:
    void map() {
        // Twice the size, because mmap aligns to small pages only; the rest goes back.
        void* const mapped = mmap(nullptr, 2 * region_bytes, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (mapped == MAP_FAILED) throw std::bad_alloc();
        auto* const begin = static_cast<std::byte*>(mapped);
        const std::size_t before = -reinterpret_cast<std::uintptr_t>(begin) % region_bytes;
        if (before != 0) munmap(begin, before);
        munmap(begin + before + region_bytes, region_bytes - before);
        next_ = begin + before;
        left_ = region_bytes;
        madvise(next_, region_bytes, MADV_HUGEPAGE);  // a wish: small pages do as well
    }

    static constexpr std::size_t region_bytes = std::size_t{2} << 20U;
    Spinlock lock_;
    std::byte* next_ = nullptr;
    std::size_t left_ = 0;
};

Regions& regions() {
    static auto* const all = new Regions();
    return *all;
}

struct List {
    Block* first = nullptr;
    std::size_t blocks = 0;
    std::byte* chunk = nullptr;  // what is left of the chunk being carved
    std::size_t chunk_left = 0;
};

thread_local constinit std::array<List, classes> lists{};

void* refill(List& list, std::size_t number) {
    const std::size_t bytes = (number + 1) * class_bytes;
    Shared& shared = shared_of(number);
    {
        std::lock_guard guard(shared.lock);
        if (!shared.batches.empty()) {
            list.first = shared.batches.back();
            list.blocks = batch_blocks;
            shared.batches.pop_back();
        }
    }
    if (list.first != nullptr) {
        Block* block = list.first;
        list.first = block->next;
        --list.blocks;
        return block;
    }
    if (list.chunk_left < bytes) {
        list.chunk = regions().take_chunk();
        list.chunk_left = chunk_bytes;
    }
    void* block = list.chunk;
    list.chunk += bytes;
    list.chunk_left -= bytes;
    return block;
}

void give_back(List& list, std::size_t number) noexcept {
    Block* const first = list.first;
    Block* last = first;
    for (std::size_t i = 1; i < batch_blocks; ++i) last = last->next;
    list.first = last->next;
    list.blocks -= batch_blocks;
    last->next = nullptr;
    Shared& shared = shared_of(number);
    std::lock_guard guard(shared.lock);
    shared.batches.push_back(first);
}

}  // namespace

void* pool_allocate(std::size_t bytes) {
    if (bytes > pool_bytes_max) return ::operator new(bytes);
    const std::size_t number = (bytes - 1) / class_bytes;
    List& list = lists[number];
    if (list.first == nullptr) return refill(list, number);
    Block* block = list.first;
    list.first = block->next;
    __builtin_prefetch(list.first, 1);  // the next one that is asked for
    --list.blocks;
    return block;
}

void pool_free(void* block, std::size_t bytes) noexcept {
    if (bytes > pool_bytes_max) {
        ::operator delete(block);
        return;
    }
    const std::size_t number = (bytes - 1) / class_bytes;
    List& list = lists[number];
    auto* freed = static_cast<Block*>(block);
    freed->next = list.first;
    list.first = freed;
    if (++list.blocks > list_blocks_max) give_back(list, number);
}

std::size_t pool_reserved_bytes() noexcept { return reserved.load(std::memory_order_relaxed); }

#endif

}  // namespace mobula
