// SPDX-License-Identifier: Apache-2.0
// Goal: whatever threads append, each thread's records leave in its order, none twice and none
// never; a request to flush is never lost. Method: real threads against one taker, and the same
// with many takers that share a Turn as flush() does.
#include "transport/outbox.hpp"

#include <array>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "transport/turn.hpp"

namespace mobula::transport {
namespace {

constexpr std::size_t batch_bytes = 512;
const auto always = [](Rank, bool) { return true; };

std::span<const std::byte> as_record(const std::uint64_t& word) {
    return std::as_bytes(std::span(&word, 1));
}

/// Checks that each writer's words come in order, for one peer.
struct Order {
    std::array<std::uint64_t, 4> next{};
    std::uint64_t records = 0;

    void take(Batch* batch) {
        BatchHeader header;
        header.records = static_cast<std::uint16_t>(batch->records);
        std::memcpy(batch->bytes(), &header, sizeof header);
        ASSERT_EQ(batch_fault(batch->message()), "");
        for_each_record(batch->message(), [this](std::span<const std::byte> record) {
            std::uint64_t word = 0;
            std::memcpy(&word, record.data(), sizeof word);
            EXPECT_EQ(word & 0xFFFFFFFFU, next[word >> 32U]++);
            ++records;
        });
    }
};

TEST(Outbox, KeepsTheOrderOfEachThread) {
    constexpr std::uint64_t count = 100'000;
    constexpr std::uint32_t writers = 2, peers = 3;
    Outbox outbox(peers, batch_bytes);
    Turn turn;
    std::array<Order, peers> orders;
    const auto work = [&] {
        outbox.take(always, [&](Batch* batch) {
            orders[index(batch->to)].take(batch);
            outbox.recycle(batch);
        });
    };
    std::vector<std::thread> threads;
    for (std::uint64_t writer = 0; writer < writers; ++writer) {
        threads.emplace_back([&, writer] {
            for (std::uint64_t n = 0; n < count; ++n) {
                const Rank to{static_cast<std::uint32_t>(n / 7 % peers)};
                // The peer's own count, so that order can be seen there.
                static thread_local std::array<std::uint64_t, peers> sent{};
                const bool full = outbox.append(to, as_record(writer << 32U | sent[index(to)]++));
                if ((full || n % 16 == 0) && outbox.has_work() && turn.enter_or_ask()) {
                    work();
                    turn.leave(work);
                }
            }
            if (turn.enter_or_ask()) {
                work();
                turn.leave(work);
            }
        });
    }
    for (auto& thread : threads) thread.join();
    // Nobody flushes any more: all must have left, by whoever had the turn.
    EXPECT_FALSE(outbox.has_work());
    std::uint64_t records = 0;
    for (const auto& order : orders) records += order.records;
    EXPECT_EQ(records, count * writers);
}

TEST(Outbox, HoldsBackWhatTheNetworkDoesNotTake) {
    Outbox outbox(2, batch_bytes);
    Order order;
    std::uint64_t sent = 0;
    while (!outbox.append(Rank{1}, as_record(sent++))) {
    }
    const std::size_t waiting = outbox.waiting_bytes(Rank{1});
    EXPECT_GE(waiting, batch_bytes - sizeof(BatchHeader));
    outbox.take([](Rank, bool) { return false; }, [](Batch*) { FAIL(); });
    EXPECT_FALSE(outbox.has_work()) << "a peer that takes nothing is not asked again and again";
    EXPECT_EQ(outbox.waiting_bytes(Rank{1}), waiting);
    (void)outbox.append(Rank{1}, as_record(sent++));
    EXPECT_FALSE(outbox.has_work());
    outbox.resume(Rank{1});
    outbox.take([](Rank, bool full) { return full; },
                [&](Batch* batch) {
                    order.take(batch);
                    outbox.recycle(batch);
                });
    EXPECT_LT(order.records, sent) << "what is not full may wait for company";
    outbox.resume(Rank{1});
    outbox.take(always, [&](Batch* batch) {
        order.take(batch);
        outbox.recycle(batch);
    });
    EXPECT_EQ(order.records, sent);
    EXPECT_EQ(outbox.waiting_bytes(Rank{1}), 0U);
}

TEST(Outbox, SendsALargeRecordInParts) {
    for (const std::size_t size : {batch_bytes - 23, batch_bytes, 7 * batch_bytes + 5}) {
        Outbox outbox(2, batch_bytes);
        std::vector<std::byte> large(size);
        for (std::size_t at = 0; at < size; ++at) large[at] = static_cast<std::byte>(at * 7);
        (void)outbox.append(Rank{1}, std::span(large).first(8));
        EXPECT_TRUE(outbox.append(Rank{1}, large));
        (void)outbox.append(Rank{1}, std::span(large).first(8));
        std::vector<std::byte> joined;
        std::uint32_t records = 0;
        std::vector<bool> is_part;
        outbox.take(always, [&](Batch* batch) {
            BatchHeader header;
            header.records = static_cast<std::uint16_t>(batch->records);
            header.format = batch->format;
            std::memcpy(batch->bytes(), &header, sizeof header);
            EXPECT_LE(batch->used, batch_bytes);
            EXPECT_EQ(batch_fault(batch->message()), "");
            is_part.push_back(batch->format == BatchHeader::part_format);
            if (is_part.back()) {
                EXPECT_EQ(part_prefix(batch->message()).offset, joined.size());
                const auto bytes = batch->message().subspan(part_overhead);
                joined.insert(joined.end(), bytes.begin(), bytes.end());
            }
            records += batch->records;
            outbox.recycle(batch);
        });
        EXPECT_EQ(joined, large);
        EXPECT_EQ(records, 3U);
        EXPECT_FALSE(is_part.front() || is_part.back()) << "order is kept";
        EXPECT_EQ(outbox.waiting_bytes(Rank{1}), 0U);
    }
}

TEST(Outbox, DropsWhatIsForTheDead) {
    Outbox outbox(2, batch_bytes);
    const std::uint64_t word = 1;
    (void)outbox.append(Rank{1}, as_record(word));
    outbox.close(Rank{1});
    EXPECT_FALSE(outbox.append(Rank{1}, as_record(word)));
    EXPECT_EQ(outbox.waiting_bytes(Rank{1}), 0U);
    outbox.take(always, [](Batch*) { FAIL() << "nothing is for the dead"; });
}

TEST(Outbox, KnowsWithoutALookAtAllPeersThatOneIsBacklogged) {
    constexpr std::uint32_t peers = 5;
    constexpr std::size_t backlog_bytes = 2000;
    Outbox outbox(peers, batch_bytes, backlog_bytes);
    std::mt19937 random(1);
    const auto any = [&] {
        for (std::uint32_t peer = 0; peer < peers; ++peer) {
            if (outbox.waiting_bytes(Rank{peer}) > backlog_bytes) return true;
        }
        return false;
    };
    std::size_t seen = 0;
    std::array<bool, peers> held_back{};
    for (std::uint64_t step = 0; step < 20'000; ++step) {
        const Rank peer{static_cast<std::uint32_t>(random() % peers)};
        const std::vector<std::byte> record(1 + random() % (random() % 40 == 0 ? 3000 : 30));
        (void)outbox.append(peer, record);
        if (random() % 6 == 0) {
            if (std::exchange(held_back[index(peer)], false)) outbox.resume(peer);
            outbox.take(
                [&](Rank to, bool) {
                    held_back[index(to)] = to != peer;
                    return to == peer;
                },
                [&](Batch* batch) { outbox.recycle(batch); });
        }
        if (step == 15'000) outbox.close(peer);
        ASSERT_EQ(outbox.any_backlogged(), any()) << "step " << step;
        seen += any() ? 1 : 0;
    }
    EXPECT_GT(seen, 1000U);
    EXPECT_LT(seen, 19'000U);
    for (std::uint32_t peer = 0; peer < peers; ++peer) outbox.close(Rank{peer});
    EXPECT_FALSE(outbox.any_backlogged());
}

}  // namespace
}  // namespace mobula::transport
