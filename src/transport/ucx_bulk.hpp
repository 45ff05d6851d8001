// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/spinlock.hpp"
#include "transport/control.hpp"
#include "transport/transport.hpp"
#include "transport/ucx_net.hpp"

namespace mobula::transport {

/// Moves large transfers between an arena and a peer's memory: by chunks that the owner pushes, or
/// by reads of the receiver. The receiver starts either.
///
/// request() is *thread-safe*; everything else is *thread-bound* to whoever has the turn. Outcomes
/// wait in here until report() is called, so that a Fetch hears of them from progress() alone.
class UcxBulk {
public:
    UcxBulk(const Settings& settings, UcxNet& net);
    ~UcxBulk();
    UcxBulk(const UcxBulk&) = delete;
    UcxBulk& operator=(const UcxBulk&) = delete;

    void start(ArenaView arena, std::size_t ranks);

    /// Notes a wish for take_requests().
    void request(Rank from, Verb verb, std::uint64_t offset, std::span<std::byte> into,
                 Fetch& fetch);
    [[nodiscard]] bool has_requests() const noexcept {
        return requested_.load(std::memory_order_acquire);
    }
    /// Starts what was asked for; `lives` says whether a peer can still answer.
    template <class Lives>
    void take_requests(Lives&& lives) {
        for (const Request& request : swap_requests()) begin(request, lives(request.from));
    }

    /// The control messages that concern transfers: pull, refused, want_key, key.
    void receive(Rank from, const Control& control, std::span<const std::byte> tail);

    /// Sends what may go now; cheap when there is nothing.
    void pump();

    /// Ends every transfer with the peer.
    void lose(Rank peer, std::string_view reason);

    [[nodiscard]] bool has_outcomes() const noexcept { return !outcomes_.empty(); }
    /// Calls done() or failed() of the transfers that are over.
    void report();

    [[nodiscard]] std::uint64_t bytes_fetched() const noexcept {
        return bytes_fetched_.load(std::memory_order_relaxed);
    }

    /// Whether something of a transfer is under way.
    [[nodiscard]] bool busy() const noexcept { return !pushes_.empty() || !incoming_.empty(); }

    /// An active message with a chunk.
    ucs_status_t receive_chunk(const ChunkHeader& header, void* data, std::size_t bytes,
                               const ucp_am_recv_param_t& param);

private:
    struct Request {
        Rank from{};
        Verb verb{};
        std::uint64_t offset = 0;
        std::span<std::byte> into;
        Fetch* fetch = nullptr;
    };
    struct Outcome {
        Fetch* fetch = nullptr;
        std::string reason;  ///< empty: done
    };

    std::vector<Request> swap_requests();
    void begin(const Request& request, bool alive);

    const Settings settings_;
    UcxNet& net_;
    ArenaView arena_;
    Spinlock requests_lock_;
    std::vector<Request> requests_;
    std::atomic<bool> requested_{false};
    std::vector<int> pushes_, incoming_;
    std::vector<Outcome> outcomes_;
    std::atomic<std::uint64_t> bytes_fetched_{0};
};

}  // namespace mobula::transport
