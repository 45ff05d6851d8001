// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "transport/seal.hpp"
#include "transport/shared_beat.hpp"

namespace mobula::transport {

/// How bytes of a large object reach this rank from a peer.
enum class Verb : std::uint8_t {
    map,   ///< same node: the peer's arena is mapped, nothing moves
    get,   ///< one-sided read by the receiver (RDMA)
    push,  ///< the peer sends chunks as active messages (TCP)
};

/// One large transfer towards this rank; lives until `done`, `failed` or `lost` was called.
/// They are called from the thread that drives progress and must not block.
class Fetch {
public:
    virtual void done() noexcept = 0;
    virtual void failed(std::string_view reason) noexcept = 0;
    /// It failed because the peer is gone: Delegate::on_peer_lost is told so as well, before or
    /// after this, unless the peer had said goodbye.
    virtual void lost(std::string_view reason) noexcept { failed(reason); }

protected:
    ~Fetch() = default;
};

/// What a transport tells its owner. Every call comes from the thread inside progress(), and none
/// may throw: there is C code between it and the caller.
class Delegate {
public:
    /// One record, whole, in the order its sender gave it to send(). The bytes are valid only
    /// during the call and 8-byte aligned. May call send() and fetch(), not progress().
    virtual void on_record(Rank from, std::span<const std::byte> record) = 0;

    /// The peer is dead or was declared dead; called once per peer, nothing of it comes after.
    virtual void on_peer_lost(Rank peer, std::string_view reason) = 0;

    /// Others have declared this rank dead (it was stopped, or cut off for a while) and believe
    /// nothing of it any more. Called once; the process should end itself.
    virtual void on_fenced(std::string_view reason) = 0;

protected:
    ~Delegate() = default;
};

/// Sums over the life of the transport, for statistics and tests.
struct Counters {
    std::uint64_t records_sent = 0, messages_sent = 0, bytes_sent = 0;
    std::uint64_t records_received = 0, messages_received = 0, bytes_received = 0;
    std::uint64_t bytes_fetched = 0, sleeps = 0;
    std::uint64_t messages_refused = 0;  ///< not of this job: without its token
    std::uint64_t beats_heard = 0;       ///< over connections of their own
};

/// Moves records (small, ordered, batched) and bulk bytes between the ranks of a job.
///
/// Thread-safe unless a member says otherwise. Records from one rank to another arrive in the
/// order of the send() calls of a thread; many records to one peer share one active message
/// under load. Nothing here blocks: what cannot leave now waits in the peer's queue, and
/// `backlog_bytes` lets the caller slow down.
class Transport {
public:
    virtual ~Transport() = default;

    [[nodiscard]] virtual Rank self() const noexcept = 0;
    [[nodiscard]] virtual std::size_t ranks() const noexcept = 0;
    [[nodiscard]] virtual Verb verb(Rank peer) const noexcept = 0;

    /// Copies the record (1 byte to record_bytes_max) into the peer's current batch. The batch
    /// leaves when it is full, at the next flush() or progress(), whichever is first. `to` may not
    /// be this rank. A record to a dead peer is dropped.
    virtual void send(Rank to, std::span<const std::byte> record) = 0;

    /// Hands all started batches to the network. Cheap when there are none. When another thread
    /// is inside progress(), that thread does it before it leaves.
    virtual void flush() noexcept = 0;

    /// Drives the network once: sends batches, receives, calls the delegate. Returns whether
    /// anything was received or completed; false at once when another thread is inside.
    virtual bool progress() = 0;

    /// Sleeps until something arrives, wake() is called or the deadline passes; never spins.
    /// Returns at once if something may already be there (call progress() again then). Only one
    /// thread may be inside; a second one returns at once.
    virtual void wait(Time deadline) = 0;

    /// Ends a wait() in progress, or the next one.
    virtual void wake() noexcept = 0;

    /// Copies `into.size()` bytes at `offset` of the peer's arena into local memory that stays
    /// valid until the fetch is done. Only for peers with verb get or push.
    virtual void fetch(Rank from, std::uint64_t offset, std::span<std::byte> into,
                       Fetch& fetch) = 0;

    /// Bytes that wait in this rank's memory for the peer to take them.
    [[nodiscard]] virtual std::size_t backlog_bytes(Rank peer) const noexcept = 0;

    /// Whether more than Settings::backlog_bytes wait for a peer. One load, however many peers
    /// there are.
    [[nodiscard]] virtual bool backlogged() const noexcept = 0;

    /// Sends and checks heartbeats; the runtime's communication thread calls it at least every
    /// heartbeat period with the present time. Takes its turn with progress().
    virtual void tick(Time now) = 0;

    /// The job ends before its time: signs of life that have connections of their own end, so that
    /// none is still being made to a rank that has left, of which UCX would tell.
    virtual void stop_beating() noexcept {}

    /// Says goodbye, so that peers do not take the end of this rank for a failure, and drives the
    /// network until everything has left or the deadline has passed; true when all has left. To be
    /// called once, last, when no other thread uses the transport any more. The delegate may still
    /// get records meanwhile.
    virtual bool leave(Time deadline) = 0;

    /// Ends all connections; after every rank has left, because one that still speaks may have
    /// something to say to a rank that it has not spoken to before.
    virtual void close(Time deadline) = 0;

    /// In a forked child: from now on nothing of this object touches the network.
    virtual void forbid() noexcept {}

    [[nodiscard]] virtual Counters counters() const = 0;

    /// What the network reports of itself, one line per fact: for `mobula doctor`.
    [[nodiscard]] virtual std::vector<std::string> describe() = 0;

    static constexpr std::size_t record_bytes_max = std::size_t{256} << 20U;
};

/// The memory that peers may map or read; see store/arena.hpp for who allocates in it.
struct ArenaView {
    std::byte* base = nullptr;
    std::size_t bytes = 0;
};

struct Settings {
    std::chrono::milliseconds heartbeat{200};
    std::chrono::milliseconds declared_dead_after{2000};
    std::chrono::milliseconds join_within{20000};  ///< until a rank's first word after the start
    std::size_t neighbours = 3;                    ///< members on either side that watch a member
    std::size_t batch_bytes = 8000;                ///< one eager active message; at most 8128
    std::size_t chunk_bytes = std::size_t{1} << 20U;     ///< of a pushed transfer
    std::size_t chunks_in_flight = 8;                    ///< per transfer
    std::size_t backlog_bytes = std::size_t{64} << 20U;  ///< per peer; see Transport::backlogged
    bool always_pulse =
        false;               ///< beats have connections of their own on one machine too, for tests
    std::string force_verb;  ///< "", "map", "get" or "push", for tests
};

/// What the ranks learned of each other when they met.
struct Meeting {
    Rank self{};
    std::vector<std::vector<std::byte>> addresses;  ///< per rank, as UcxTransport::address gave it
    std::vector<Node> nodes;                        ///< per rank
    std::vector<Incarnation> incarnations;          ///< per rank
    Token token{};                                  ///< the job's, the same on all its ranks
    std::vector<bool> mapped;  ///< per rank: its arena is mapped here, so its verb is `map`
    std::vector<SharedBeat::Watched*>
        beats;  ///< per rank: null where it is not of this node; or none
    std::chrono::milliseconds declared_dead_after{0};  ///< 0: by the settings
};

}  // namespace mobula::transport
