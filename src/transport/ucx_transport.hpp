// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/counter.hpp"
#include "base/rank_map.hpp"
#include "transport/membership.hpp"
#include "transport/outbox.hpp"
#include "transport/pulse.hpp"
#include "transport/sleeper.hpp"
#include "transport/turn.hpp"
#include "transport/ucx.hpp"
#include "transport/ucx_bulk.hpp"
#include "transport/ucx_net.hpp"

namespace mobula::transport {

/// Composes outbox (what waits), net (UCX), bulk (large transfers), membership (who lives) and
/// sleeper into a Transport. All but the outbox, the sleeper and the request queues is touched only
/// by whoever has the turn; the others leave their wishes where the holder finds them.
class UcxTransportImpl final : public UcxTransport {
public:
    UcxTransportImpl(const Settings& settings, const native::UcpNeeds& needs);
    ~UcxTransportImpl() override;

    [[nodiscard]] std::vector<std::byte> address() const override;
    void start(const Meeting& meeting, ArenaView arena, Delegate& delegate) override;

    [[nodiscard]] Rank self() const noexcept override { return self_; }
    [[nodiscard]] std::size_t ranks() const noexcept override { return ranks_; }
    [[nodiscard]] Verb verb(Rank peer) const noexcept override { return verbs_[index(peer)]; }
    void send(Rank to, std::span<const std::byte> record) override;
    void flush() noexcept override;
    bool progress() override;
    void wait(Time deadline) override;
    void wake() noexcept override { sleeper_.wake(); }
    void fetch(Rank from, std::uint64_t offset, std::span<std::byte> into, Fetch& fetch) override;
    [[nodiscard]] std::size_t backlog_bytes(Rank peer) const noexcept override;
    [[nodiscard]] bool backlogged() const noexcept override { return outbox_.any_backlogged(); }
    void tick(Time now) override;
    void stop_beating() noexcept override {
        if (pulse_) pulse_->stop();
    }
    bool leave(Time deadline) override;
    void close(Time deadline) override;
    /// Nobody leaves the turn any more.
    void forbid() noexcept override { static_cast<void>(turn_.enter()); }
    [[nodiscard]] Counters counters() const override;
    [[nodiscard]] std::vector<std::string> describe() override;

private:
    /// A message that came before an earlier one, 8-byte aligned.
    struct Early {
        std::vector<std::uint64_t> words;
        std::size_t bytes = 0;
    };

    /// What is expected from a peer next, and what came too early.
    struct Inbound {
        std::uint32_t expected = 0;
        std::map<std::uint32_t, Early> early;  ///< by sequence
        std::size_t early_bytes = 0;
        std::vector<std::uint64_t> partial;  ///< of a large record, 8-byte aligned
        std::size_t partial_bytes = 0;       ///< that have come
    };

    /// The same sums as Counters; written by the holder of the turn, read by anybody.
    struct Sums {
        // Written by whoever has the turn.
        Counter records_sent, messages_sent, bytes_sent;
        Counter records_received, messages_received, bytes_received;
        Counter messages_refused;
        Counter sleeps;  ///< by whoever waits
    };

    static ucs_status_t on_batch(void* self, const void*, std::size_t, void* data,
                                 std::size_t bytes, const ucp_am_recv_param_t*) noexcept;
    static ucs_status_t on_stray(void* self, const void* header, std::size_t header_bytes,
                                 void* data, std::size_t bytes,
                                 const ucp_am_recv_param_t* param) noexcept;
    static ucs_status_t on_control(void* self, const void*, std::size_t, void* data,
                                   std::size_t bytes, const ucp_am_recv_param_t*) noexcept;

    static ucs_status_t on_chunk(void* self, const void* header, std::size_t header_bytes,
                                 void* data, std::size_t bytes,
                                 const ucp_am_recv_param_t* param) noexcept;

    /// Whether the message is of this job; one that is not is counted and no more.
    [[nodiscard]] bool is_ours(std::span<const std::byte> message, bool whole);
    [[nodiscard]] bool believes(const Seal& seal);
    void distrust(const Seal& seal, std::string_view fault);
    void receive_batch(std::span<const std::byte> message);
    void deliver(Rank from, std::span<const std::byte> message);
    void join_part(Rank from, std::span<const std::byte> message);
    void stash(Rank from, std::uint32_t sequence, std::span<const std::byte> message);
    void receive_control(std::span<const std::byte> message);

    /// Whether there is anything for work(); one look at each queue.
    [[nodiscard]] bool has_work() const noexcept {
        return outbox_.has_work() || bulk_.has_requests() || bulk_.busy() ||
               tick_due_.load(std::memory_order_relaxed) != 0;
    }
    void work();
    /// Looks after what progress has brought up; true when the delegate was told something.
    bool settle();
    [[nodiscard]] bool may_sleep();
    void do_tick(Time now);
    void hear_pulses();
    void hear_shared_beats();
    void hear(Rank rank);
    void lose(Rank peer, const std::string& reason, bool reachable);
    void bury(Rank peer, const std::string& reason, bool reachable);
    void take_leave_of(Rank peer);
    template <class Done>
    [[nodiscard]] bool drive_until(Time deadline, Done done);
    [[nodiscard]] bool drive_until_sent(Time deadline);
    [[nodiscard]] bool see_off(Time deadline);
    [[nodiscard]] bool say_goodbye(Rank host, Time deadline);
    void say(Rank to, ControlKind kind);
    void accuse_self(const Control& accusation, std::string_view reason);
    void report_news();
    void tell_of(ControlKind kind, Rank subject, std::string_view reason);
    void fence(Rank peer);

    const Settings settings_;
    const std::size_t ranks_;
    Rank self_{};
    Delegate* delegate_ = nullptr;
    std::vector<Verb> verbs_;

    Outbox outbox_;
    UcxNet net_;
    std::unique_ptr<Pulse> pulse_;             ///< where beats could be long on their way otherwise
    std::vector<SharedBeat::Watched*> beats_;  ///< per rank, of this node; or none
    UcxBulk bulk_;
    Sleeper sleeper_;
    Turn turn_;

    std::optional<Membership> membership_;
    RankMap<Inbound> inbound_;               ///< of ranks that something came from
    std::vector<std::uint64_t> aligned_;     ///< a copy of the message in hand, where UCX's is not
    std::vector<Membership::Death> losses_;  ///< to be reported by the next progress()
    RankIndex fences_sent_;                  ///< since the last tick: once is enough
    std::string fenced_because_;             ///< to be reported, when not empty
    bool fenced_ = false;
    bool leaving_ = false;
    RankIndex quiet_;                     ///< have said so; see ControlKind
    bool closed_ = false;                 ///< no rank will speak to this one any more
    bool ended_ = false;                  ///< the destructor runs: nothing is believed any more
    std::atomic<Time::rep> tick_due_{0};  ///< 0, or the time that tick() was given
    bool news_ = false;                   ///< something waits for progress() to report it
    int refusals_ = 0;  ///< by UCX to let this rank sleep, without anything having come since
    std::uint64_t activity_at_refusal_ = 0;
    std::atomic<bool> waiting_{false};  ///< a thread is inside wait()
    int turns_missed_ = 0;              ///< by it, since it last had the turn
    Sums sums_;
};

}  // namespace mobula::transport
