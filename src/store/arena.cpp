// SPDX-License-Identifier: Apache-2.0
#include "store/arena.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>
#include <random>
#include <system_error>
#include <type_traits>

#include "base/check.hpp"

namespace mobula::store {

namespace {

constexpr std::size_t page_bytes = 4096;

constexpr std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

/// At the arena's start; what a peer checks before it believes that it mapped the right file.
struct Preamble {
    std::array<std::uint64_t, 2> token;
};

struct Ticket {
    std::int32_t pid = 0;
    std::int32_t fd = -1;
    std::uint64_t bytes = 0;
    std::array<std::uint64_t, 2> token{};
    char boot[40] = {};
    char pid_space[40] = {};
};
static_assert(std::is_trivially_copyable_v<Ticket>);

template <std::size_t size>
void copy_name(char (&into)[size], const std::string& name) {
    std::memcpy(into, name.data(), std::min(size - 1, name.size()));
}

}  // namespace

/// Stands before each block's bytes, in the arena itself; blocks follow each other without gaps.
struct alignas(64) Arena::Block {
    std::size_t bytes = 0;    ///< of the block, this header included; a multiple of 64
    Block* before = nullptr;  ///< the neighbour at the lower address
    Block* next_free = nullptr;
    Block* previous_free = nullptr;
    bool free = false;
    std::uint64_t guard = guard_word;

    static constexpr std::uint64_t guard_word = 0x6d6f62756c61u;

    [[nodiscard]] std::byte* payload() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
    [[nodiscard]] std::byte* at(std::size_t offset) noexcept {
        return reinterpret_cast<std::byte*>(this) + offset;
    }
};

Arena::Arena(std::size_t bytes)
    : file_(native::make_memory_file("mobula-arena", round_up(bytes, page_bytes) + page_bytes)),
      mapping_(file_, round_up(bytes, page_bytes) + page_bytes, true) {
    static_assert(sizeof(Block) == alignment);
    // Larger pages where the system allows them for shared memory: fewer faults.
    (void)::madvise(base(), this->bytes(), MADV_HUGEPAGE);
    std::random_device random;
    for (auto& word : token_) word = (std::uint64_t{random()} << 32U) | random();
    const Preamble preamble{token_};
    std::memcpy(base(), &preamble, sizeof preamble);
    // The first page is the preamble's, but for its last 64 bytes: so the first block's bytes, and
    // those of all large blocks that follow it, start at a page.
    auto* all = new (base() + page_bytes - sizeof(Block)) Block;
    end_ = base() + this->bytes();
    all->bytes = static_cast<std::size_t>(end_ - all->at(0)) / alignment * alignment;
    end_ = all->at(all->bytes);
    link(all);
}

Arena::~Arena() = default;

Arena::Place Arena::place_of(std::size_t bytes) noexcept {
    const auto row = static_cast<std::size_t>(std::bit_width(bytes)) - 1;
    return {row, (bytes >> (row - steps_log2)) & (steps - 1)};
}

Arena::Block* Arena::following(Block* block) const noexcept {
    std::byte* next = block->at(block->bytes);
    return next < end_ ? reinterpret_cast<Block*>(next) : nullptr;
}

void Arena::link(Block* block) noexcept {
    const Place place = place_of(block->bytes);
    Block*& first = free_[place.row][place.step];
    block->free = true;
    block->previous_free = nullptr;
    block->next_free = first;
    if (first != nullptr) first->previous_free = block;
    first = block;
    rows_in_use_ |= std::uint64_t{1} << place.row;
    steps_in_use_[place.row] |= 1U << place.step;
}

void Arena::unlink(Block* block) noexcept {
    const Place place = place_of(block->bytes);
    if (block->next_free != nullptr) block->next_free->previous_free = block->previous_free;
    if (block->previous_free != nullptr) {
        block->previous_free->next_free = block->next_free;
    } else {
        free_[place.row][place.step] = block->next_free;
        if (block->next_free == nullptr) {
            steps_in_use_[place.row] &= ~(1U << place.step);
            if (steps_in_use_[place.row] == 0) rows_in_use_ &= ~(std::uint64_t{1} << place.row);
        }
    }
    block->free = false;
}

namespace {

/// How many bytes to leave in front so that the payload is aligned; the rest in front must itself
/// be a block or nothing.
std::size_t lead_of(const std::byte* payload, std::size_t alignment, std::size_t header) {
    const auto at = reinterpret_cast<std::uintptr_t>(payload);
    std::size_t lead = round_up(at, alignment) - at;
    if (lead != 0 && lead < 2 * header) lead += alignment;
    return lead;
}

}  // namespace

Arena::Block* Arena::first_fit_in(Place place, std::size_t bytes, std::size_t align) noexcept {
    // A few are looked at: the freshest are the likeliest to fit and to be in the cache.
    constexpr int looks_max = 8;
    Block* block = free_[place.row][place.step];
    for (int looks = 0; block != nullptr && looks < looks_max; ++looks) {
        if (block->bytes >= bytes + lead_of(block->payload(), align, sizeof(Block))) return block;
        block = block->next_free;
    }
    return nullptr;
}

Arena::Block* Arena::find(std::size_t bytes, std::size_t align) noexcept {
    // The list of this very size first: an equal block that was freed fits although the list holds
    // smaller ones too. Then the larger lists, the smallest first, so that what was never touched
    // (the largest block) comes last.
    Place place = place_of(bytes);
    if (Block* block = first_fit_in(place, bytes, align)) return block;
    while (true) {
        ++place.step;
        std::uint32_t in_row = place.step < steps ? steps_in_use_[place.row] >> place.step : 0;
        if (in_row == 0) {
            const std::uint64_t above =
                place.row + 1 < rows ? rows_in_use_ >> (place.row + 1) << (place.row + 1) : 0;
            if (above == 0) return nullptr;
            place = {static_cast<std::size_t>(std::countr_zero(above)), 0};
            in_row = steps_in_use_[place.row];
        }
        place.step += static_cast<std::size_t>(std::countr_zero(in_row));
        if (Block* block = first_fit_in(place, bytes, align)) return block;
    }
}

Arena::Block* Arena::cut(Block* block, std::size_t bytes, std::size_t align) noexcept {
    const auto split = [this](Block* whole, std::size_t front_bytes) {
        auto* back = new (whole->at(front_bytes)) Block;
        back->bytes = whole->bytes - front_bytes;
        back->before = whole;
        whole->bytes = front_bytes;
        if (Block* after = following(back)) after->before = back;
        return back;
    };
    if (const std::size_t lead = lead_of(block->payload(), align, sizeof(Block)); lead != 0) {
        Block* front = block;
        block = split(front, lead);
        link(front);
    }
    if (block->bytes - bytes >= 2 * sizeof(Block)) link(split(block, bytes));
    return block;
}

std::byte* Arena::allocate(std::size_t bytes) noexcept {
    if (bytes > this->bytes()) return nullptr;
    const bool large = bytes >= large_bytes;
    const std::size_t align = large ? large_alignment : alignment;
    // Whole pages for large blocks, the header counted: then their neighbours need no lead either.
    const std::size_t needed =
        round_up(std::max<std::size_t>(bytes, 1) + sizeof(Block), large ? page_bytes : alignment);
    const std::lock_guard guard(lock_);
    Block* block = find(needed, align);
    if (block == nullptr) return nullptr;
    unlink(block);
    block = cut(block, needed, align);
    stats_.bytes_used += block->bytes;
    stats_.bytes_used_peak = std::max(stats_.bytes_used_peak, stats_.bytes_used);
    const auto end = static_cast<std::size_t>(block->at(block->bytes) - base());
    stats_.bytes_touched = std::max(stats_.bytes_touched, end);
    ++stats_.blocks;
    return block->payload();
}

void Arena::deallocate(std::byte* payload) noexcept {
    if (payload == nullptr) return;
    Block* block = reinterpret_cast<Block*>(payload) - 1;
    const std::lock_guard guard(lock_);
    check(contains(payload) && block->guard == Block::guard_word && !block->free,
          "only a block of this arena is given back to it, and only once");
    stats_.bytes_used -= block->bytes;
    --stats_.blocks;
    if (Block* after = following(block); after != nullptr && after->free) {
        unlink(after);
        block->bytes += after->bytes;
    }
    if (block->before != nullptr && block->before->free) {
        Block* front = block->before;
        unlink(front);
        front->bytes += block->bytes;
        block = front;
    }
    if (Block* after = following(block)) after->before = block;
    link(block);
}

std::size_t Arena::capacity(const std::byte* payload) noexcept {
    return (reinterpret_cast<const Block*>(payload) - 1)->bytes - sizeof(Block);
}

ArenaStats Arena::stats() const noexcept {
    const std::lock_guard guard(lock_);
    return stats_;
}

std::vector<std::byte> Arena::ticket() const {
    Ticket ticket;
    ticket.pid = ::getpid();
    ticket.fd = file_.get();
    ticket.bytes = bytes();
    ticket.token = token_;
    copy_name(ticket.boot, native::boot_id());
    copy_name(ticket.pid_space, native::pid_space());
    std::vector<std::byte> bytes(sizeof ticket);
    std::memcpy(bytes.data(), &ticket, sizeof ticket);
    return bytes;
}

std::unique_ptr<PeerArena> PeerArena::open(std::span<const std::byte> bytes) {
    Ticket ticket;
    if (bytes.size() != sizeof ticket) return nullptr;
    std::memcpy(&ticket, bytes.data(), sizeof ticket);
    Ticket here;
    copy_name(here.boot, native::boot_id());
    copy_name(here.pid_space, native::pid_space());
    if (std::memcmp(here.boot, ticket.boot, sizeof here.boot) != 0 ||
        std::memcmp(here.pid_space, ticket.pid_space, sizeof here.pid_space) != 0 ||
        ticket.bytes < page_bytes) {
        return nullptr;
    }
    const native::Fd file = native::open_descriptor_of(ticket.pid, ticket.fd);
    if (!file) return nullptr;
    try {
        // Reading beyond a file's end would be a bus error, whatever the ticket says.
        if (native::file_bytes(file) < ticket.bytes) return nullptr;
        native::Mapping mapping(file, ticket.bytes, false);
        Preamble preamble{};
        std::memcpy(&preamble, mapping.base(), sizeof preamble);
        if (preamble.token != ticket.token) return nullptr;
        return std::unique_ptr<PeerArena>(new PeerArena(std::move(mapping)));
    } catch (const std::system_error&) {
        return nullptr;
    }
}

}  // namespace mobula::store
