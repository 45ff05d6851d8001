// SPDX-License-Identifier: Apache-2.0
#include "transport/outbox.hpp"

#include <algorithm>
#include <utility>

namespace mobula::transport {

namespace {

constexpr std::align_val_t batch_alignment{alignof(Batch)};

Batch* make_batch(std::size_t bytes) {
    void* memory = ::operator new(sizeof(Batch) + bytes, batch_alignment);
    auto* batch = new (memory) Batch;
    batch->capacity = static_cast<std::uint32_t>(bytes);
    return batch;
}

void destroy(Batch* batch) noexcept { ::operator delete(batch, batch_alignment); }

void destroy_all(Batch* first) noexcept {
    while (first != nullptr) destroy(std::exchange(first, first->next));
}

}  // namespace

BatchPool::~BatchPool() {
    destroy_all(free_);
    destroy_all(turn_free_);
}

Batch* BatchPool::take(std::size_t bytes) {
    bytes += sizeof(BatchHeader);
    Batch* batch = nullptr;
    if (bytes <= batch_bytes_) {
        const std::lock_guard guard(lock_);
        batch = free_;
        if (batch != nullptr) {
            free_ = batch->next;
            --kept_;
        }
    }
    if (batch == nullptr) batch = make_batch(std::max(bytes, batch_bytes_));
    clear(batch);
    return batch;
}

void BatchPool::give_back(Batch* batch) noexcept {
    if (batch->capacity == batch_bytes_) {
        const std::lock_guard guard(lock_);
        if (kept_ < kept_max_) {
            batch->next = free_;
            free_ = batch;
            ++kept_;
            return;
        }
    }
    destroy(batch);
}

Outbox::Outbox(std::size_t ranks, std::size_t batch_bytes, std::size_t backlog_bytes)
    : ranks_(ranks),
      batch_bytes_(batch_bytes),
      backlog_bytes_(backlog_bytes),
      lanes_(std::make_unique<Lane[]>(ranks)),
      pool_(batch_bytes, 256 + 4 * ranks) {
    for (std::size_t r = 0; r < ranks; ++r) lanes_[r].to = Rank{static_cast<std::uint32_t>(r)};
}

Outbox::~Outbox() {
    for (std::size_t r = 0; r < ranks_; ++r) close(lanes_[r].to);
}

bool Outbox::append(Rank to, std::span<const std::byte> record) {
    Lane& lane = lanes_[index(to)];
    const std::size_t space = space_of_record(record.size());
    bool became_full = false;
    bool newly_dirty = false;
    {
        const std::lock_guard guard(lane.lock);
        if (lane.closed) return false;
        if (space > batch_bytes_ - sizeof(BatchHeader)) {
            append_parts(lane, record);
            became_full = true;
        } else {
            Batch* batch = lane.open;
            if (batch == nullptr || batch->used + space > batch->capacity ||
                batch->records == batch_records_max) {
                batch = make_room(lane, became_full);
            }
            put_record(batch->bytes() + batch->used, record);
            batch->used += static_cast<std::uint32_t>(space);
            ++batch->records;
            count(lane, static_cast<std::ptrdiff_t>(space));
        }
        newly_dirty = !lane.listed;
        lane.listed = true;
    }
    if (newly_dirty) list(lane);
    return became_full;
}

Batch* Outbox::make_room(Lane& lane, bool& became_full) {
    if (lane.open != nullptr) {
        put_full(lane, std::exchange(lane.open, nullptr));
        became_full = true;
    }
    lane.open = pool_.take(0);
    lane.open->to = lane.to;
    return lane.open;
}

void Outbox::put_full(Lane& lane, Batch* full) noexcept {
    (lane.full_first == nullptr ? lane.full_first : lane.full_last->next) = full;
    lane.full_last = full;
}

void Outbox::append_parts(Lane& lane, std::span<const std::byte> record) {
    // What was appended before goes before.
    if (lane.open != nullptr && lane.open->records > 0) {
        put_full(lane, std::exchange(lane.open, nullptr));
    }
    const std::size_t part_bytes = batch_bytes_ - part_overhead;
    for (std::size_t at = 0; at < record.size(); at += part_bytes) {
        const auto bytes = record.subspan(at, std::min(part_bytes, record.size() - at));
        const PartPrefix prefix{static_cast<std::uint32_t>(record.size()),
                                static_cast<std::uint32_t>(at)};
        Batch* part = pool_.take(0);
        part->to = lane.to;
        part->format = BatchHeader::part_format;
        part->records = at == 0 ? 1 : 0;
        std::memcpy(part->bytes() + part->used, &prefix, sizeof prefix);
        std::memcpy(part->bytes() + part_overhead, bytes.data(), bytes.size());
        part->used = static_cast<std::uint32_t>(part_overhead + bytes.size());
        count(lane, static_cast<std::ptrdiff_t>(part->used - sizeof(BatchHeader)));
        put_full(lane, part);
    }
}

void Outbox::list(Lane& lane) noexcept {
    Lane* first = dirty_.load(std::memory_order_relaxed);
    do {
        lane.next_dirty = first;
    } while (!dirty_.compare_exchange_weak(first, &lane, std::memory_order_acq_rel,
                                           std::memory_order_relaxed));
}

void Outbox::close(Rank to) noexcept {
    Lane& lane = lanes_[index(to)];
    const std::lock_guard guard(lane.lock);
    lane.closed = true;
    destroy_all(std::exchange(lane.full_first, nullptr));
    destroy_all(std::exchange(lane.open, nullptr));
    lane.waiting_bytes.store(0, std::memory_order_relaxed);
    note_backlog(lane, false);
}

void Outbox::note_backlog(Lane& lane, bool backlogged) noexcept {
    if (std::exchange(lane.backlogged, backlogged) == backlogged) return;
    if (backlogged) {
        backlogged_.fetch_add(1, std::memory_order_relaxed);
    } else {
        backlogged_.fetch_sub(1, std::memory_order_relaxed);
    }
}

}  // namespace mobula::transport
