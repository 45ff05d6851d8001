// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/rank_map.hpp"
#include "base/spinlock.hpp"
#include "native/ucp.hpp"
#include "transport/control.hpp"
#include "transport/flow.hpp"
#include "transport/transport.hpp"
#include "transport/ucx_net.hpp"

namespace mobula::transport {

/// Moves large transfers between an arena and a peer's memory: by chunks that the owner pushes, or
/// by reads of the receiver. The receiver starts either.
///
/// push: pull ->, <- chunk, arrived -> for each. The owner keeps few chunks in flight, so that many
/// transfers share a link fairly, and no more bytes than the link takes soon (see Flow), so that
/// small messages are not long behind them. Large chunks go by rendezvous and land where they
/// belong without a copy. get: want_key ->, <- key (once per extent and peer), then one-sided
/// reads.
///
/// request() is *thread-safe*; everything else is *thread-bound* to whoever has the turn. Outcomes
/// wait in here until report() is called, so that a Fetch hears of them from progress() alone.
class UcxBulk {
public:
    UcxBulk(const Settings& settings, UcxNet& net);
    ~UcxBulk();
    UcxBulk(const UcxBulk&) = delete;
    UcxBulk& operator=(const UcxBulk&) = delete;

    /// `arena` is what peers may ask for; borrowed.
    void start(ArenaView arena) { arena_ = arena; }

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

    /// The control messages that concern transfers: pull, arrived, refused, want_key, key.
    void receive(Rank from, const Control& control, std::span<const std::byte> tail);
    /// An active message with a chunk.
    ucs_status_t receive_chunk(const ChunkHeader& header, void* data, std::size_t bytes,
                               const ucp_am_recv_param_t& param);

    /// Starts what may go now; cheap when there is nothing.
    void pump() {
        if (busy()) do_pump();
    }

    /// Ends every transfer with the peer. Where UCX is still writing into memory of a fetch, the
    /// fetch fails when UCX has let go: the caller closes the link by force for that.
    void lose(Rank peer, std::string_view reason);

    [[nodiscard]] bool has_outcomes() const noexcept { return !outcomes_.empty(); }
    /// Calls done(), failed() or lost() of the transfers that are over.
    void report();

    /// Whether something of a transfer is under way.
    [[nodiscard]] bool busy() const noexcept { return !outgoing_.empty() || !incoming_.empty(); }
    /// Operations that UCX has not completed yet.
    [[nodiscard]] std::size_t in_flight() const noexcept { return chunks_out_ + landing_; }

    /// Those of them whose peer lives: what is worth to be driven on.
    [[nodiscard]] std::size_t awaited() const noexcept { return awaited_; }

    [[nodiscard]] std::uint64_t bytes_fetched() const noexcept {
        return bytes_fetched_.load(std::memory_order_relaxed);
    }

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
        bool peer_gone = false;
    };

    /// A transfer towards this rank.
    struct Incoming {
        UcxBulk* bulk = nullptr;
        std::uint64_t id = 0;
        bool broke_off = false;  ///< by UCX's word
        bool peer_gone = false;  ///< with a failure: lose() was called, or should have been
        Request request;
        std::size_t asked = 0;      ///< verb get: bytes whose read has begun
        std::size_t arrived = 0;    ///< bytes
        std::vector<bool> seen;     ///< verb push: per grain, see grain_of()
        std::uint32_t landing = 0;  ///< operations that UCX may still write for
        std::optional<std::string> failure;
        Time give_up{};     ///< with a failure: when to wait for UCX no longer
        bool over = false;  ///< its outcome was told; it is here only for what UCX may still write
    };

    /// A transfer to a peer that has asked for it.
    struct Outgoing {
        Rank to{};
        std::uint64_t id = 0;
        std::span<const std::byte> bytes;
        std::size_t chunk_bytes = 0;
        std::size_t window = 0;
        std::size_t next = 0;
        std::size_t in_flight = 0;
        bool lost = false;
    };

    /// One chunk on its way: UCX 1.13 wants the header to live as long as the send.
    struct Chunk {
        ChunkHeader header;
        UcxBulk* bulk = nullptr;
        std::list<Outgoing>::iterator of;
    };

    /// One chunk that lands by rendezvous.
    struct Landing {
        Incoming* of = nullptr;
        std::uint64_t offset = 0;
    };

    /// One read on its way.
    struct Read {
        Incoming* of = nullptr;
        std::size_t bytes = 0;
    };

    /// What is known of one extent of a peer's arena.
    struct RemoteExtent {
        bool refused = false;
        std::uint64_t address = 0;
        std::uint64_t bytes = 0;
        std::optional<native::UcpKey> key;
    };

    std::vector<Request> swap_requests();
    void begin(const Request& request, bool alive);
    void do_pump();

    void serve_pull(Rank from, const Control& control);
    void send_chunk(std::list<Outgoing>::iterator of);
    void chunk_sent(Chunk* chunk, ucs_status_t status) noexcept;
    void forget(Outgoing& transfer) noexcept;
    static void on_chunk_sent(void* request, ucs_status_t status, void* user) noexcept;

    [[nodiscard]] Incoming* find_incoming(Rank from, std::uint64_t id);
    [[nodiscard]] bool take_grains(Incoming& transfer, std::size_t offset, std::size_t bytes);
    void acknowledge(Rank from, std::uint64_t transfer, std::uint64_t offset);
    void landed(Incoming& transfer, std::size_t bytes, ucs_status_t status);
    void fail(Incoming& transfer, std::string reason, bool peer_gone);
    void end_if_over(Incoming& transfer);
    static void on_received(void* request, ucs_status_t status, std::size_t bytes,
                            void* user) noexcept;

    void serve_key(Rank from, std::uint64_t extent);
    void learn_key(Rank from, const Control& control, std::span<const std::byte> key);
    void read_more(Incoming& transfer);
    static void on_read(void* request, ucs_status_t status, void* user) noexcept;

    const Settings settings_;
    UcxNet& net_;
    ArenaView arena_;

    Spinlock requests_lock_;
    std::vector<Request> requests_;
    std::atomic<bool> requested_{false};

    std::uint64_t next_id_ = 1;
    std::map<std::uint64_t, std::unique_ptr<Incoming>> incoming_;
    std::list<Outgoing> outgoing_;
    RankMap<Flow> flows_;  ///< to ranks that were sent chunks
    std::size_t chunks_out_ = 0;
    std::size_t landing_ = 0;
    std::size_t awaited_ = 0;
    std::size_t reads_ = 0;  ///< transfers by verb get
    std::vector<Outcome> outcomes_;
    std::atomic<std::uint64_t> bytes_fetched_{0};

    std::map<std::uint64_t, native::UcpMemory> own_extents_;
    RankMap<std::map<std::uint64_t, RemoteExtent>> remote_extents_;  ///< of ranks that were read
};

}  // namespace mobula::transport
