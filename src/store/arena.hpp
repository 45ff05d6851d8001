// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/spinlock.hpp"
#include "native/memory.hpp"

namespace mobula::store {

struct ArenaStats {
    std::size_t bytes_used = 0;  ///< in blocks, with what they cost beyond what was asked for
    std::size_t bytes_used_peak = 0;
    std::size_t bytes_touched =
        0;  ///< how far the arena has ever been used: what it takes of memory
    std::size_t blocks = 0;
};

/// The memory of one rank's large objects: a file in memory that ranks of the same node map, cut
/// into blocks. Reserved at once, used as it is touched, and gone with the last process that maps
/// it, however that process ends.
///
/// *Thread-safe*. allocate() and deallocate() take a spinlock for a few dozen instructions. A free
/// block that was used before is preferred to untouched memory, because the first touch of a page
/// costs more than copying it full.
class Arena {
public:
    /// What a block starts at a multiple of; from `large_bytes` on it is `large_alignment`.
    static constexpr std::size_t alignment = 64;
    static constexpr std::size_t large_alignment = 4096;
    static constexpr std::size_t large_bytes = std::size_t{2} << 20U;

    /// `bytes` is the most that all blocks together take up; rounded up to whole pages. Throws
    /// std::system_error when the address space cannot be had.
    explicit Arena(std::size_t bytes);
    ~Arena();
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    /// Memory for `bytes` (0 counts as 1), or nullptr when no free block is large enough.
    [[nodiscard]] std::byte* allocate(std::size_t bytes) noexcept;

    /// Takes back what allocate() gave; nullptr does nothing. The bytes may still be read by a peer
    /// that was not told.
    void deallocate(std::byte* block) noexcept;

    /// How many bytes the block has room for; at least what was asked for.
    [[nodiscard]] static std::size_t capacity(const std::byte* block) noexcept;

    [[nodiscard]] std::byte* base() const noexcept { return mapping_.base(); }
    [[nodiscard]] std::size_t bytes() const noexcept { return mapping_.bytes(); }
    [[nodiscard]] bool contains(const std::byte* at) const noexcept {
        return at >= base() && at < base() + bytes();
    }
    /// Where a block is, for a peer that maps this arena.
    [[nodiscard]] std::uint64_t offset(const std::byte* at) const noexcept {
        return static_cast<std::uint64_t>(at - base());
    }

    [[nodiscard]] ArenaStats stats() const noexcept;

    /// What a peer on the same node needs to map this arena; opaque bytes for PeerArena::open.
    [[nodiscard]] std::vector<std::byte> ticket() const;

private:
    struct Block;

    // Free blocks are kept by size: a row per power of two, cut into equal steps, with a bit for
    // each list that is not empty. So a fitting block is found without a search.
    static constexpr std::size_t steps_log2 = 4;
    static constexpr std::size_t steps = std::size_t{1} << steps_log2;
    static constexpr std::size_t rows = 48;
    struct Place {
        std::size_t row, step;
    };

    static Place place_of(std::size_t bytes) noexcept;
    Block* find(std::size_t bytes, std::size_t payload_alignment) noexcept;
    Block* first_fit_in(Place place, std::size_t bytes, std::size_t alignment) noexcept;
    Block* cut(Block* block, std::size_t bytes, std::size_t payload_alignment) noexcept;
    void link(Block* block) noexcept;
    void unlink(Block* block) noexcept;
    Block* following(Block* block) const noexcept;

    native::Fd file_;
    native::Mapping mapping_;
    std::array<std::uint64_t, 2> token_{};
    mutable Spinlock lock_;
    std::byte* end_ = nullptr;  ///< of the last block
    std::uint64_t rows_in_use_ = 0;
    std::array<std::uint32_t, rows> steps_in_use_{};
    std::array<std::array<Block*, steps>, rows> free_{};
    ArenaStats stats_;
};

/// The arena of another rank of the same node, mapped for reading. Stays readable after its owner
/// has died. *Thread-safe* (it never changes).
class PeerArena {
public:
    /// nullptr when the arena cannot be mapped here: other machine, other container, no permission,
    /// or its owner is gone already. Never believes a ticket unproved: the mapped bytes must have
    /// the owner's random token in them.
    [[nodiscard]] static std::unique_ptr<PeerArena> open(std::span<const std::byte> ticket);

    [[nodiscard]] std::size_t bytes() const noexcept { return mapping_.bytes(); }

    /// The bytes at an offset that the owner has named; empty when they are not inside the arena.
    [[nodiscard]] std::span<const std::byte> view(std::uint64_t offset,
                                                  std::size_t bytes) const noexcept {
        if (offset > mapping_.bytes() || bytes > mapping_.bytes() - offset) return {};
        return {mapping_.base() + offset, bytes};
    }

private:
    explicit PeerArena(native::Mapping mapping) : mapping_(std::move(mapping)) {}

    native::Mapping mapping_;
};

}  // namespace mobula::store
