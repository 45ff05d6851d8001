// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "runtime/engine.hpp"
#include "runtime/status.hpp"
#include "transport/cluster.hpp"
#include "transport/loopback.hpp"
#include "transport/ucx.hpp"

namespace mobula::runtime::testing {

using Record = std::vector<std::byte>;

/// An end of a loopback network in the place of UCX.
class LoopbackEnd final : public transport::UcxTransport {
public:
    LoopbackEnd(transport::LoopbackNetwork& network, Rank self)
        : network_(network), end_(network.at(self)) {}

    [[nodiscard]] std::vector<std::byte> address() const override { return {}; }
    void start(const transport::Meeting& meeting, transport::ArenaView arena,
               transport::Delegate& delegate) override {
        network_.start(meeting.self, delegate, arena);
    }
    [[nodiscard]] Rank self() const noexcept override { return end_.self(); }
    [[nodiscard]] std::size_t ranks() const noexcept override { return end_.ranks(); }
    [[nodiscard]] transport::Verb verb(Rank peer) const noexcept override {
        return end_.verb(peer);
    }
    void send(Rank to, std::span<const std::byte> record) override { end_.send(to, record); }
    void flush() noexcept override { end_.flush(); }
    bool progress() override { return end_.progress(); }
    void wait(Time deadline) override { end_.wait(deadline); }
    void wake() noexcept override { end_.wake(); }
    void fetch(Rank from, std::uint64_t offset, std::span<std::byte> into,
               transport::Fetch& fetch) override {
        end_.fetch(from, offset, into, fetch);
    }
    [[nodiscard]] std::size_t backlog_bytes(Rank peer) const noexcept override {
        return end_.backlog_bytes(peer);
    }
    [[nodiscard]] bool backlogged() const noexcept override { return end_.backlogged(); }
    void tick(Time now) override { end_.tick(now); }
    bool leave(Time deadline) override { return end_.leave(deadline); }
    void close(Time deadline) override { end_.close(deadline); }
    [[nodiscard]] transport::Counters counters() const override { return end_.counters(); }
    [[nodiscard]] std::vector<std::string> describe() override { return end_.describe(); }

private:
    transport::LoopbackNetwork& network_;
    transport::Transport& end_;
};

/// A rank that only listens.
struct Listener final : transport::Delegate {
    std::deque<Record> heard;
    void on_record(Rank, std::span<const std::byte> record) override {
        heard.emplace_back(record.begin(), record.end());
    }
    void on_peer_lost(Rank, std::string_view) override {}
    void on_fenced(std::string_view) override {}
};

/// The engine of rank 1 of three, whose peers are the test. Nothing runs by itself: records are
/// given to it with give(), and what they set going runs in settle(). Rank 2's arena is like the
/// engine's own, so that what the engine has sent can be given back as if it came from there.
class LoneEngine {
public:
    static constexpr Rank driver{0}, self{1}, peer{2};

    /// Of no rank it is 0, and each has another.
    static constexpr Incarnation incarnation(Rank rank) {
        return Incarnation{static_cast<std::uint32_t>(101 + index(rank))};
    }

    LoneEngine()
        : cluster_(std::make_unique<LoopbackEnd>(network_, self), meeting(), arena_bytes),
          engine_(Options{}, cluster_, peers(), FunctionTable::of_process()) {
        cluster_.start(engine_);
        network_.start(driver, at_driver_);
        network_.start(peer, at_peer_, {peer_arena_.get(), arena_bytes});
    }

    Engine& operator*() noexcept { return engine_; }
    Engine* operator->() noexcept { return &engine_; }

    /// The record is read where nothing lies behind it.
    void give(const Record& record, Rank from = peer) {
        const auto bytes = std::make_unique<std::byte[]>(record.size());
        if (!record.empty()) std::memcpy(bytes.get(), record.data(), record.size());
        {
            const Driving driving;  // as where records come from
            engine_.on_record(from, {bytes.get(), record.size()});
        }
        stay();  // a job that has ended shall not take the test with it
    }
    void give(const wire::RecordWriter& record, Rank from = peer) {
        give(Record(record.span().begin(), record.span().end()), from);
    }
    /// Moves bytes and runs tasks until nothing is left to do.
    void settle() {
        for (bool more = true; more;) {
            more = engine_.network.drive();
            while (!engine_.clerk.await_idle(std::chrono::milliseconds(1))) engine_.clerk.hurry();
            while (Task* const task = engine_.team.take_any()) {
                engine_.execute(*task);
                more = true;
            }
        }
        stay();
        network_.at(driver).progress();
        network_.at(peer).progress();
    }
    /// The oldest record of that kind that the engine has sent to rank 2; empty if there is none.
    Record sent(wire::Kind kind) {
        settle();
        std::memcpy(peer_arena_.get(), cluster_.arena().base(),
                    std::min(arena_bytes, cluster_.arena().stats().bytes_touched));
        return take(at_peer_, kind);
    }
    /// The same of rank 0.
    Record told(wire::Kind kind) {
        settle();
        return take(at_driver_, kind);
    }
    /// Whether it gave rank 2 a failure for a result.
    bool has_failed_a_task() {
        settle();
        return std::any_of(at_peer_.heard.begin(), at_peer_.heard.end(), [](const Record& record) {
            return static_cast<wire::Kind>(record.front()) == wire::Kind::result &&
                   record.at(1 + 8 + 4 + 2) == std::byte{3};
        });
    }
    /// Why the engine has ended the job, as it told rank 0; empty if it has not.
    std::string reason() {
        settle();
        for (const Record& record : at_driver_.heard) {
            wire::RecordReader reader(record);
            if (reader.get<wire::Kind>() != wire::Kind::broken) continue;
            static_cast<void>(reader.get<int>());
            return std::string(reader.text());
        }
        return {};
    }

private:
    static constexpr std::size_t arena_bytes = std::size_t{512} << 10U;

    static Record take(Listener& listener, wire::Kind kind) {
        for (auto at = listener.heard.begin(); at != listener.heard.end(); ++at) {
            if (static_cast<wire::Kind>(at->front()) != kind) continue;
            Record record = std::move(*at);
            listener.heard.erase(at);
            return record;
        }
        return {};
    }

    static transport::Meeting meeting() {
        transport::Meeting meeting;
        meeting.self = self;
        meeting.nodes = {Node{0}, Node{1}, Node{2}};
        meeting.incarnations = {incarnation(driver), incarnation(self), incarnation(peer)};
        return meeting;
    }
    static std::vector<Peer> peers() {
        std::vector<Peer> peers(3);
        for (Peer& one : peers) one.resources = scheduler::Amounts(1, 0, {{"seat", 4}});
        return peers;
    }

    transport::LoopbackNetwork network_{3};
    Listener at_driver_, at_peer_;
    struct Free {
        void operator()(std::byte* memory) const noexcept { std::free(memory); }
    };
    // All zero, without touching what is not used.
    std::unique_ptr<std::byte[], Free> peer_arena_{
        static_cast<std::byte*>(std::calloc(arena_bytes, 1))};
    transport::Cluster cluster_;
    Engine engine_;
};

}  // namespace mobula::runtime::testing
