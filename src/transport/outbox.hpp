// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <utility>

#include "base/ids.hpp"
#include "base/spinlock.hpp"
#include "transport/batch.hpp"

namespace mobula::transport {

/// Memory of one active message. It belongs to exactly one of: a lane of the outbox, the network
/// (until the send completes), the pool. The bytes follow it in the same allocation.
struct alignas(64) Batch {
    Batch* next = nullptr;
    void* network = nullptr;  ///< who has it in flight
    Rank to{};
    std::uint32_t records = 0;  ///< that begin in it
    std::uint16_t format = BatchHeader::batch_format;
    std::uint32_t capacity = 0;  ///< bytes, the header included
    std::uint32_t used = 0;      ///< bytes, the header included

    [[nodiscard]] std::byte* bytes() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
    [[nodiscard]] std::span<const std::byte> message() noexcept { return {bytes(), used}; }
};

/// Keeps batches of one size for the next user, up to a bound. *Thread-safe*, but for the two
/// members "in turn", which only whoever has the turn may call and which take no lock.
class BatchPool {
public:
    BatchPool(std::size_t batch_bytes, std::size_t kept_max)
        : batch_bytes_(batch_bytes), kept_max_(kept_max) {}
    ~BatchPool();
    BatchPool(const BatchPool&) = delete;
    BatchPool& operator=(const BatchPool&) = delete;

    /// An empty batch with room for at least `bytes` behind the header.
    [[nodiscard]] Batch* take(std::size_t bytes);
    void give_back(Batch* batch) noexcept;

    [[nodiscard]] Batch* take_in_turn(std::size_t bytes) {
        if (turn_free_ == nullptr || bytes + sizeof(BatchHeader) > batch_bytes_) return take(bytes);
        Batch* batch = std::exchange(turn_free_, turn_free_->next);
        --turn_kept_;
        clear(batch);
        return batch;
    }
    void give_back_in_turn(Batch* batch) noexcept {
        if (turn_kept_ == turn_kept_max || batch->capacity != batch_bytes_) return give_back(batch);
        batch->next = std::exchange(turn_free_, batch);
        ++turn_kept_;
    }

private:
    static void clear(Batch* batch) noexcept {
        batch->next = nullptr;
        batch->records = 0;
        batch->format = BatchHeader::batch_format;
        batch->used = sizeof(BatchHeader);
    }

    static constexpr std::size_t turn_kept_max = 16;

    const std::size_t batch_bytes_;
    const std::size_t kept_max_;
    Spinlock lock_;
    Batch* free_ = nullptr;
    std::size_t kept_ = 0;
    Batch* turn_free_ = nullptr;
    std::size_t turn_kept_ = 0;
};

/// Collects records into one batch per peer until somebody takes the batches away. It knows which
/// peers have something, so that taking costs nothing for the others.
///
/// append() and the questions are *thread-safe*; the rest is called by the one who has the turn.
class Outbox {
public:
    /// A peer for which more than `backlog_bytes` wait counts as backlogged.
    Outbox(std::size_t ranks, std::size_t batch_bytes,
           std::size_t backlog_bytes = std::size_t{64} << 20U);
    ~Outbox();
    Outbox(const Outbox&) = delete;
    Outbox& operator=(const Outbox&) = delete;

    /// Copies the record behind those before it. True when a batch became full by it: the caller
    /// should have the outbox emptied. A record to a closed peer is dropped.
    bool append(Rank to, std::span<const std::byte> record);

    [[nodiscard]] bool has_work() const noexcept {
        return dirty_.load(std::memory_order_acquire) != nullptr;
    }

    /// Bytes that are here and not yet taken.
    [[nodiscard]] std::size_t waiting_bytes(Rank to) const noexcept {
        return lanes_[index(to)].waiting_bytes.load(std::memory_order_relaxed);
    }

    /// Whether a peer is backlogged; one load.
    [[nodiscard]] bool any_backlogged() const noexcept {
        return backlogged_.load(std::memory_order_relaxed) != 0;
    }

    /// Offers the batches of every peer that has some. `may(rank, full)` says whether the network
    /// takes one more; when it does not, the peer's rest stays here until resume(). `post(batch)`
    /// becomes the batch's owner and gives it back by recycle().
    template <class May, class Post>
    void take(May&& may, Post&& post) {
        Lane* lane = dirty_.exchange(nullptr, std::memory_order_acq_rel);
        while (lane != nullptr) {
            Lane* next = lane->next_dirty;
            for (bool more = true; more;) {
                if (Batch* batch = next_batch(*lane, may, more)) post(batch);
            }
            lane = next;
        }
    }

    /// The network takes batches for this peer again.
    void resume(Rank to) noexcept { list(lanes_[index(to)]); }

    /// Drops what waits for the peer, and everything that comes later.
    void close(Rank to) noexcept;

    void recycle(Batch* batch) noexcept { pool_.give_back_in_turn(batch); }
    [[nodiscard]] BatchPool& pool() noexcept { return pool_; }

private:
    struct alignas(64) Lane {
        Spinlock lock;
        bool listed = false;  ///< in the list of dirty lanes, or held back until resume()
        bool closed = false;
        bool backlogged = false;  ///< and counted as such
        Rank to{};
        Batch* open = nullptr;        ///< the batch that records go into
        Batch* full_first = nullptr;  ///< batches in the order in which they became full
        Batch* full_last = nullptr;
        Lane* next_dirty = nullptr;
        std::atomic<std::size_t> waiting_bytes{0};  ///< written under the lock
    };

    Batch* make_room(Lane& lane, bool& became_full);
    void put_full(Lane& lane, Batch* full) noexcept;
    void append_parts(Lane& lane, std::span<const std::byte> record);
    void list(Lane& lane) noexcept;

    template <class May>
    Batch* next_batch(Lane& lane, May& may, bool& more) {
        const std::lock_guard guard(lane.lock);
        Batch* batch = lane.full_first != nullptr ? lane.full_first : lane.open;
        if (batch == nullptr || (batch == lane.open && batch->records == 0)) {
            lane.listed = more = false;
            return nullptr;
        }
        more = may(lane.to, batch != lane.open);
        if (!more) return nullptr;
        count(lane, static_cast<std::ptrdiff_t>(sizeof(BatchHeader)) -
                        static_cast<std::ptrdiff_t>(batch->used));
        if (batch != lane.open) {
            lane.full_first = batch->next;
            return batch;
        }
        lane.listed = more = false;
        if (batch->used <= copied_bytes_max) return copy_and_clear(batch);
        lane.open = nullptr;
        return batch;
    }

    /// A small batch is copied out, so that the lane keeps its buffer and no pool is asked.
    Batch* copy_and_clear(Batch* batch) {
        Batch* copy = pool_.take_in_turn(0);
        std::memcpy(copy->bytes() + sizeof(BatchHeader), batch->bytes() + sizeof(BatchHeader),
                    batch->used - sizeof(BatchHeader));
        copy->to = batch->to;
        copy->used = std::exchange(batch->used, std::uint32_t{sizeof(BatchHeader)});
        copy->records = std::exchange(batch->records, 0U);
        return copy;
    }

    /// The lane's lock is held.
    void count(Lane& lane, std::ptrdiff_t bytes) noexcept {
        const auto before = lane.waiting_bytes.load(std::memory_order_relaxed);
        const std::size_t after = before + static_cast<std::size_t>(bytes);
        lane.waiting_bytes.store(after, std::memory_order_relaxed);
        if (after > backlog_bytes_ || lane.backlogged) [[unlikely]]
            note_backlog(lane, after > backlog_bytes_);
    }
    void note_backlog(Lane& lane, bool backlogged) noexcept;

    static constexpr std::uint32_t copied_bytes_max = 256;

    const std::size_t ranks_;
    const std::size_t batch_bytes_;
    const std::size_t backlog_bytes_;
    std::unique_ptr<Lane[]> lanes_;
    std::atomic<std::size_t> backlogged_{0};  ///< lanes in which so many bytes wait
    std::atomic<Lane*> dirty_{nullptr};
    BatchPool pool_;
};

}  // namespace mobula::transport
