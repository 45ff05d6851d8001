// SPDX-License-Identifier: Apache-2.0
// Goal: blocks never overlap, are aligned, come back whole, and reuse what was touched; a peer
// reads what the owner wrote, even after its death. Method: a random run beside a plain model; a
// forked process as the peer's owner.
#include "store/arena.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <map>
#include <random>

#include <gtest/gtest.h>

namespace mobula::store {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20U;

bool is_aligned(const std::byte* at, std::size_t to) {
    return reinterpret_cast<std::uintptr_t>(at) % to == 0;
}

TEST(Arena, GivesAlignedBlocks) {
    Arena arena(64 * mib);
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{100}, mib}) {
        std::byte* block = arena.allocate(size);
        ASSERT_NE(block, nullptr);
        EXPECT_TRUE(is_aligned(block, Arena::alignment));
        EXPECT_GE(Arena::capacity(block), size);
    }
    for (int n = 0; n < 3; ++n) {
        std::byte* block = arena.allocate(3 * mib + 17);
        EXPECT_TRUE(is_aligned(block, Arena::large_alignment));
    }
}

TEST(Arena, SaysNoWhenItIsFull) {
    Arena arena(8 * mib);
    EXPECT_EQ(arena.allocate(9 * mib), nullptr);
    EXPECT_EQ(arena.allocate(~std::size_t{0}), nullptr);
    std::byte* all = arena.allocate(8 * mib - 8192);
    ASSERT_NE(all, nullptr);
    EXPECT_EQ(arena.allocate(mib), nullptr);
    arena.deallocate(all);
    arena.deallocate(nullptr);
    EXPECT_EQ(arena.stats().blocks, 0U);
    EXPECT_EQ(arena.stats().bytes_used, 0U);
    EXPECT_NE(arena.allocate(8 * mib - 8192), nullptr);
}

TEST(Arena, UsesTouchedMemoryAgain) {
    Arena arena(1024 * mib);
    for (const std::size_t size : {std::size_t{200}, std::size_t{70'000}, 5 * mib, 5 * mib + 1}) {
        std::vector<std::byte*> blocks;
        for (int n = 0; n < 4; ++n) blocks.push_back(arena.allocate(size));
        for (auto* block : blocks) arena.deallocate(block);
        const std::size_t touched = arena.stats().bytes_touched;
        for (int round = 0; round < 100; ++round) {
            for (auto*& block : blocks) block = arena.allocate(size);
            for (auto* block : blocks) arena.deallocate(block);
        }
        EXPECT_EQ(arena.stats().bytes_touched, touched) << "blocks of " << size;
    }
}

TEST(Arena, KeepsBlocksApart) {
    std::mt19937_64 random(99);
    Arena arena(256 * mib);
    std::map<std::byte*, std::size_t> blocks;
    const auto check_and_free = [&](auto at) {
        const auto mark = static_cast<std::byte>(at->second * 31);
        EXPECT_EQ(at->first[0], mark);
        EXPECT_EQ(at->first[at->second - 1], mark);
        arena.deallocate(at->first);
        return blocks.erase(at);
    };
    for (int step = 0; step < 100'000; ++step) {
        if (random() % 2 == 0 || blocks.empty()) {
            const std::size_t size = 1 + random() % (std::size_t{1} << (random() % 23));
            std::byte* block = arena.allocate(size);
            if (block == nullptr) continue;
            const auto next = blocks.lower_bound(block);
            EXPECT_TRUE(next == blocks.end() || block + size <= next->first);
            EXPECT_TRUE(next == blocks.begin() ||
                        std::prev(next)->first + std::prev(next)->second <= block);
            block[0] = block[size - 1] = static_cast<std::byte>(size * 31);
            blocks.emplace(block, size);
        } else {
            auto at = blocks.lower_bound(arena.base() + random() % arena.bytes());
            check_and_free(at == blocks.end() ? blocks.begin() : at);
        }
        ASSERT_EQ(arena.stats().blocks, blocks.size());
    }
    while (!blocks.empty()) check_and_free(blocks.begin());
    EXPECT_EQ(arena.stats().bytes_used, 0U);
    EXPECT_NE(arena.allocate(255 * mib), nullptr) << "all free blocks have grown together again";
}

TEST(PeerArena, ReadsOnAfterItsOwnerWasKilled) {
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    struct Letter {
        std::byte ticket[256];
        std::size_t ticket_bytes;
        std::uint64_t offset;
    } letter{};
    const pid_t owner = fork();
    if (owner == 0) {
        Arena arena(64 * mib);
        std::byte* block = arena.allocate(mib);
        std::memset(block, 42, mib);
        const auto ticket = arena.ticket();
        std::memcpy(letter.ticket, ticket.data(), ticket.size());
        letter.ticket_bytes = ticket.size();
        letter.offset = arena.offset(block);
        (void)!write(pipe_ends[1], &letter, sizeof letter);
        pause();
        _exit(0);
    }
    ASSERT_EQ(read(pipe_ends[0], &letter, sizeof letter), ssize_t{sizeof letter});
    const std::span ticket(letter.ticket, letter.ticket_bytes);
    const auto peer = PeerArena::open(ticket);
    kill(owner, SIGKILL);
    waitpid(owner, nullptr, 0);
    ASSERT_NE(peer, nullptr);
    const auto view = peer->view(letter.offset, mib);
    ASSERT_EQ(view.size(), mib);
    EXPECT_EQ(view.front(), std::byte{42});
    EXPECT_EQ(view.back(), std::byte{42});
    EXPECT_TRUE(peer->view(peer->bytes() - 1, 2).empty());
    EXPECT_EQ(PeerArena::open(ticket), nullptr) << "its owner is gone";
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

TEST(PeerArena, BelievesNoTicketUnproved) {
    Arena arena(mib);
    const auto ticket = arena.ticket();
    EXPECT_NE(PeerArena::open(ticket), nullptr);
    EXPECT_EQ(PeerArena::open({}), nullptr);
    int refused = 0;
    for (std::size_t at = 0; at < 32; ++at) {
        auto forged = ticket;
        forged[at] ^= std::byte{1};
        // The lengths lower bits may shrink the view; all else must be noticed.
        refused += PeerArena::open(forged) == nullptr ? 1 : 0;
    }
    EXPECT_GE(refused, 28);
}

}  // namespace
}  // namespace mobula::store
