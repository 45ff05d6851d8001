// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "base/clock.hpp"

namespace mobula::transport {

/// How many bulk bytes may be on their way to one peer: as many as its link takes in `span`, so
/// that no link is given more than it can carry soon, whatever its rate. The flow learns from the
/// time that each chunk needs to arrive: more may go while chunks arrive early, less when they are
/// late. A slow link gets small chunks too, so that the peer sees something come. Pure: it knows no
/// network and no clock. *Thread-bound*.
class Flow {
public:
    /// Chunks begin at multiples of it and are as long, but for the last one of a transfer.
    static constexpr std::size_t grain_bytes = std::size_t{16} << 10U;
    static constexpr std::size_t first_limit_bytes = 2 * grain_bytes;
    static constexpr std::size_t limit_bytes_max = std::size_t{64} << 20U;
    static constexpr Duration span = std::chrono::milliseconds(200);

    /// How long the next chunk may be; 0 while none may go.
    [[nodiscard]] std::size_t allowance() const noexcept {
        if (sent_.empty()) return std::max(share(), grain_bytes);  // one is always on its way
        if (in_flight_ + grain_bytes > limit_) return 0;
        return std::clamp(limit_ - in_flight_, grain_bytes, std::max(share(), grain_bytes)) /
               grain_bytes * grain_bytes;
    }

    void sent(std::uint64_t transfer, std::uint64_t offset, std::size_t bytes, Time now) {
        sent_.push_back({transfer, offset, bytes, now});
        in_flight_ += bytes;
    }

    /// The peer has the chunk; false when none like that is on its way.
    bool arrived(std::uint64_t transfer, std::uint64_t offset, Time now) {
        const auto chunk = std::find_if(sent_.begin(), sent_.end(), [&](const Chunk& one) {
            return one.transfer == transfer && one.offset == offset;
        });
        if (chunk == sent_.end()) return false;
        const Duration took = now - chunk->sent_at;
        // A link that is not kept busy tells nothing of what it could do, unless it is late.
        const bool was_filled = in_flight_ + std::max(share(), grain_bytes) >= limit_;
        in_flight_ -= chunk->bytes;
        if (took > span) {
            shrink(took, now, chunk->sent_at);
        } else if (took < span / 2 && was_filled) {
            limit_ = std::min(limit_ + chunk->bytes, limit_bytes_max);
        }
        sent_.erase(chunk);
        return true;
    }

    /// The peer is gone.
    void clear() noexcept {
        sent_.clear();
        in_flight_ = 0;
    }

    [[nodiscard]] std::size_t in_flight_bytes() const noexcept { return in_flight_; }
    [[nodiscard]] std::size_t limit_bytes() const noexcept { return limit_; }

private:
    struct Chunk {
        std::uint64_t transfer;
        std::uint64_t offset;
        std::size_t bytes;
        Time sent_at;
    };

    /// A few chunks share the limit, so that the next is on its way when one arrives.
    [[nodiscard]] std::size_t share() const noexcept {
        return limit_ / 4 / grain_bytes * grain_bytes;
    }

    /// Once for all chunks that were sent under the same limit: all of them are late.
    void shrink(Duration took, Time now, Time sent_at) noexcept {
        if (sent_at < shrunk_at_) return;
        const auto part = static_cast<double>(span.count()) / static_cast<double>(took.count());
        limit_ =
            std::max(static_cast<std::size_t>(static_cast<double>(limit_) * part), grain_bytes);
        shrunk_at_ = now;
    }

    std::deque<Chunk> sent_;  ///< and not known to have arrived, oldest first
    std::size_t in_flight_ = 0;
    std::size_t limit_ = first_limit_bytes;
    Time shrunk_at_{};
};

}  // namespace mobula::transport
