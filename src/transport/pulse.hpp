// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/rank_index.hpp"
#include "native/ucp.hpp"
#include "transport/seal.hpp"
#include "transport/transport.hpp"

namespace mobula::transport {

/// Signs of life over connections of their own, by a thread of their own: they are neither behind
/// what is on its way to the same peer nor behind what this rank is busy with. Only a rank that
/// stands still, or whose network does, is silent.
///
/// *Thread-safe* but for start().
class Pulse {
public:
    explicit Pulse(const native::UcpContext& context);
    /// As stop().
    ~Pulse();
    Pulse(const Pulse&) = delete;
    Pulse& operator=(const Pulse&) = delete;

    /// What peers need to reach it.
    [[nodiscard]] std::vector<std::byte> address() const { return worker_.address(); }

    /// Begins to beat once a period; `addresses` has one entry per rank.
    void start(const Meeting& meeting, std::vector<std::vector<std::byte>> addresses,
               Duration period);
    /// Beats to these from now on, and to nobody else.
    void beat_to(const std::vector<Rank>& ranks);
    /// Tells of each rank, once, that was heard since the last call.
    template <class Heard>
    void collect(Heard&& heard) {
        RankIndex these;
        {
            const std::lock_guard guard(mutex_);
            std::swap(these, heard_);
        }
        for (const Rank rank : these.ranks()) heard(rank);
    }
    [[nodiscard]] std::uint64_t beats_heard() const noexcept {
        return beats_heard_.load(std::memory_order_relaxed);
    }
    /// Beats that were not believed: of another job, or of another incarnation of a rank.
    [[nodiscard]] std::uint64_t beats_refused() const noexcept {
        return beats_refused_.load(std::memory_order_relaxed);
    }
    /// Says nothing any more. Waits for the thread, not for the network.
    void stop() noexcept;
    /// The same, and gives connections that are just being made half a second to be complete. To be
    /// called on all ranks before the first of them goes: UCX ends a process in which one is being
    /// made to a process that has gone.
    void settle() noexcept;

private:
    /// One rank, as the thread sees it.
    struct Peer {
        std::vector<std::byte> address;
        Incarnation incarnation{};
        native::UcpEndpoint endpoint;
        bool broken = false;  ///< for ever: what became of the peer is for others to find out
        unsigned in_flight = 0;
    };

    static ucs_status_t on_beat(void* self, const void*, std::size_t, void* data, std::size_t bytes,
                                const ucp_am_recv_param_t* param) noexcept;
    void hear(std::span<const std::byte> message) noexcept;
    static void on_sent(void* request, ucs_status_t status, void* user) noexcept;
    static void on_broken(void* user, ucp_ep_h endpoint, ucs_status_t status) noexcept;
    void run(Duration period);
    void beat(Peer& peer);
    void close_all() noexcept;

    native::UcpWorker worker_;
    Seal seal_;
    std::vector<std::unique_ptr<Peer>> peers_;
    std::atomic<std::uint64_t> beats_heard_{0}, beats_refused_{0};
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Rank> targets_;  ///< guarded by the mutex
    RankIndex heard_;            ///< too; since the last collect()
    bool stopping_ = false;      ///< too
    std::thread thread_;
};

}  // namespace mobula::transport
