// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "native/ucp.hpp"
#include "transport/control.hpp"
#include "transport/outbox.hpp"
#include "transport/transport.hpp"

namespace mobula::transport {

/// The ids of our active messages.
enum class MessageId : unsigned { batch = 1, control = 2, chunk = 3 };

/// This rank's end of the UCX network: worker, endpoints (made on first use), and what is in
/// flight. Sends batches and control messages eagerly; receiving is for whoever sets the handlers.
///
/// *Thread-bound* to whoever has the turn, but for the questions marked thread-safe.
class UcxNet {
public:
    /// A link that broke, for failures().
    struct Failure {
        Rank peer{};
        std::string reason;
    };

    /// `pool` gets every batch back that post() was given; it must outlive this object.
    UcxNet(std::size_t ranks, native::UcpContext context, BatchPool& pool);
    ~UcxNet();
    UcxNet(const UcxNet&) = delete;
    UcxNet& operator=(const UcxNet&) = delete;

    [[nodiscard]] native::UcpContext& context() noexcept { return context_; }
    [[nodiscard]] native::UcpWorker& worker() noexcept { return worker_; }
    [[nodiscard]] const native::UcpWorker& worker() const noexcept { return worker_; }

    /// Whether one of the network devices that UCX uses here can read remote memory by itself.
    [[nodiscard]] static bool has_rdma(const native::UcpContext& context);
    /// A context that serves remote reads only where such a device is there, or `always`.
    [[nodiscard]] static native::UcpContext make_context(native::UcpNeeds needs, bool always);

    /// Whether this rank's context is such a one.
    [[nodiscard]] bool serves_reads() const noexcept { return context_.serves_reads(); }

    void meet(const Meeting& meeting);
    [[nodiscard]] Rank self() const noexcept { return self_; }
    /// What every message of this rank starts with.
    [[nodiscard]] const Seal& seal() const noexcept { return seal_; }

    /// The endpoint to a peer, made when it is the first time; nullptr when the link is broken.
    [[nodiscard]] native::UcpEndpoint* endpoint(Rank peer);
    [[nodiscard]] bool is_connected(Rank peer) const noexcept {
        return links_[index(peer)].endpoint && !links_[index(peer)].broken;
    }

    /// Sends a batch of records; numbers it.
    void post(Batch* batch);
    /// Sends one control message; the seal is filled in.
    void post(Rank to, Control control, std::span<const std::byte> tail = {});

    /// Whether one more batch may go: few enough are in flight. When not, `wants_room` is noted,
    /// and the peer is among roomy() later.
    [[nodiscard]] bool may_post(Rank to, bool full) noexcept;
    [[nodiscard]] std::vector<Rank>& roomy() noexcept { return roomy_; }

    /// Drives UCX once; returns whether anything happened. UCX 1.13 claims so for ever once a link
    /// to a peer that stands still was closed by force; then only what came through to us counts.
    bool progress() noexcept {
        const std::uint64_t before = activity_;
        const unsigned claimed = ucp_worker_progress(worker_.get());
        return forced_ ? activity_ != before : claimed != 0;
    }
    /// Something was received or completed.
    void note_activity() noexcept { ++activity_; }
    [[nodiscard]] std::uint64_t activity() const noexcept { return activity_; }

    /// Whether there is something in roomy() or failures().
    [[nodiscard]] bool needs_care() const noexcept { return !roomy_.empty() || !failures_.empty(); }
    [[nodiscard]] std::vector<Failure>& failures() noexcept { return failures_; }
    void note_failure(Rank peer, std::string reason);
    /// The peer's end of the link has taken something, so the connection is complete.
    void note_carried(Rank peer) noexcept { links_[index(peer)].carried = true; }

    /// Ends the link for ever: what is in flight completes with an error, what comes later is
    /// dropped. A link over which nothing went yet keeps its endpoint instead: UCX 1.13 aborts when
    /// one is closed by force while its connection is made, and also when a closed one is made anew
    /// while the peer still has its old end.
    void close(Rank peer) noexcept;
    /// Ends all links: before the deadline after what was sent, from then on at once.
    void close_all(Time deadline) noexcept;

    /// Messages that UCX has not taken over yet.
    [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_; }
    /// Those of them whose link is not closed: what is worth to be driven on.
    [[nodiscard]] std::size_t awaited() const noexcept { return awaited_; }
    /// *Thread-safe*.
    [[nodiscard]] std::size_t in_flight_bytes(Rank to) const noexcept {
        return links_[index(to)].in_flight_bytes.load(std::memory_order_relaxed);
    }

private:
    struct Link {
        UcxNet* net = nullptr;
        Rank peer{};
        native::UcpEndpoint endpoint;
        bool carried = false;  ///< see note_carried()
        bool broken = false;
        bool wants_room = false;
        bool closed = false;  ///< for ever: what is in flight is not awaited
        std::uint32_t next_sequence = 0;
        std::uint32_t in_flight = 0;
        std::atomic<std::size_t> in_flight_bytes{0};
    };

    void hand_over(Link& link, Batch* batch, MessageId id);
    void landed(Batch* batch) noexcept;

    static void on_sent(void* request, ucs_status_t status, void* user) noexcept;
    static void on_link_error(void* user, ucp_ep_h endpoint, ucs_status_t status) noexcept;

    BatchPool& pool_;
    native::UcpContext context_;
    native::UcpWorker worker_;
    const std::size_t ranks_;
    std::unique_ptr<Link[]> links_;
    std::vector<std::vector<std::byte>> addresses_;
    Rank self_{};
    Seal seal_;
    std::size_t in_flight_ = 0;
    std::size_t awaited_ = 0;
    std::uint64_t activity_ = 0;
    bool forced_ = false;  ///< a link was closed by force
    std::vector<Rank> roomy_;
    std::vector<Failure> failures_;
    std::vector<ucs_status_ptr_t> closing_;
};

}  // namespace mobula::transport
