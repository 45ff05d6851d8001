// SPDX-License-Identifier: Apache-2.0
#include "transport/loopback.hpp"

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <string>
#include <utility>

#include "base/check.hpp"

namespace mobula::transport {

/// One rank's end. Others put events into its inbox; progress() takes them out.
class LoopbackNetwork::Port final : public Transport {
public:
    Port(Rank self, LoopbackNetwork& network) : self_(self), network_(network) {}

    [[nodiscard]] Rank self() const noexcept override { return self_; }
    [[nodiscard]] std::size_t ranks() const noexcept override { return network_.ports_.size(); }
    [[nodiscard]] Verb verb(Rank) const noexcept override { return Verb::push; }

    void send(Rank to, std::span<const std::byte> record) override {
        check(to != self_ && index(to) < ranks(), "a record goes to another rank of the job");
        check(!record.empty() && record.size() <= record_bytes_max,
              "a record has from 1 byte to record_bytes_max");
        if (dead_ || knows_dead(to)) return;
        Event event{.from = self_, .bytes = record.size()};
        event.words.resize((record.size() + 7) / 8);
        std::memcpy(event.words.data(), record.data(), record.size());
        ++records_sent_;
        bytes_sent_ += record.size();
        network_.port(to).put(std::move(event));
    }

    void flush() noexcept override {}

    bool progress() override {
        const std::unique_lock inside(inside_, std::try_to_lock);
        if (!inside || delegate_.load() == nullptr) return false;
        std::deque<Event> events;
        {
            const std::lock_guard guard(lock_);
            events.swap(inbox_);
        }
        for (const Event& event : events) handle(event);
        return !events.empty();
    }

    void wait(Time deadline) override {
        std::unique_lock guard(lock_);
        if (std::exchange(waiting_, true)) return;
        changed_.wait_until(guard, deadline, [this] { return woken_ || !inbox_.empty(); });
        woken_ = waiting_ = false;
    }

    void wake() noexcept override {
        const std::lock_guard guard(lock_);
        woken_ = true;
        changed_.notify_all();
    }

    void fetch(Rank from, std::uint64_t offset, std::span<std::byte> into, Fetch& fetch) override {
        Event answer{.from = from, .fetch = &fetch};
        Port& owner = network_.port(from);
        if (owner.dead_ || knows_dead(from)) {
            answer.reason = "the rank is gone";
            answer.lost = true;
        } else if (offset > owner.arena_.bytes || into.size() > owner.arena_.bytes - offset) {
            answer.reason = "the bytes are not inside the arena";
        } else if (!into.empty()) {
            std::memcpy(into.data(), owner.arena_.base + offset, into.size());
            answer.bytes = into.size();
        }
        put(std::move(answer));
    }

    [[nodiscard]] std::size_t backlog_bytes(Rank) const noexcept override { return 0; }
    [[nodiscard]] bool backlogged() const noexcept override { return false; }
    void tick(Time) override {}
    bool leave(Time) override { return true; }
    void close(Time) override {}

    [[nodiscard]] Counters counters() const override {
        Counters sums;
        sums.records_sent = sums.messages_sent = records_sent_;
        sums.bytes_sent = bytes_sent_;
        sums.records_received = sums.messages_received = records_received_;
        sums.bytes_received = bytes_received_;
        sums.bytes_fetched = bytes_fetched_;
        return sums;
    }

    [[nodiscard]] std::vector<std::string> describe() override { return {"loopback"}; }

private:
    friend LoopbackNetwork;

    /// A record, the end of a fetch, or the loss of `from`; both for a fetch that the loss ends.
    struct Event {
        Rank from{};
        Fetch* fetch = nullptr;
        bool lost = false;
        std::size_t bytes = 0;
        std::vector<std::uint64_t> words;
        std::string reason;
    };

    void put(Event event) {
        const std::lock_guard guard(lock_);
        inbox_.push_back(std::move(event));
        changed_.notify_all();
    }

    bool knows_dead(Rank rank) {
        const std::lock_guard guard(lock_);
        return index(rank) < lost_.size() && lost_[index(rank)];
    }

    void handle(const Event& event) {
        if (event.fetch != nullptr) {
            bytes_fetched_ += event.bytes;
            if (event.lost) return event.fetch->lost(event.reason);
            return event.reason.empty() ? event.fetch->done() : event.fetch->failed(event.reason);
        }
        if (dead_ || knows_dead(event.from)) return;
        Delegate& delegate = *delegate_.load();
        if (event.lost) {
            {
                const std::lock_guard guard(lock_);
                lost_.resize(ranks());
                lost_[index(event.from)] = true;
            }
            return delegate.on_peer_lost(event.from, event.reason);
        }
        ++records_received_;
        bytes_received_ += event.bytes;
        delegate.on_record(event.from, std::as_bytes(std::span(event.words)).first(event.bytes));
    }

    const Rank self_;
    LoopbackNetwork& network_;
    std::atomic<Delegate*> delegate_{nullptr};
    ArenaView arena_;
    std::atomic<bool> dead_{false};
    std::mutex inside_;  ///< held by the thread in progress()

    std::mutex lock_;  ///< guards what follows, up to the counters
    std::condition_variable changed_;
    std::deque<Event> inbox_;
    std::vector<bool> lost_;
    bool woken_ = false;
    bool waiting_ = false;

    std::atomic<std::uint64_t> records_sent_{0}, bytes_sent_{0};
    std::atomic<std::uint64_t> records_received_{0}, bytes_received_{0}, bytes_fetched_{0};
};

LoopbackNetwork::LoopbackNetwork(std::size_t ranks) {
    for (std::size_t r = 0; r < ranks; ++r) {
        ports_.push_back(std::make_unique<Port>(Rank{static_cast<std::uint32_t>(r)}, *this));
    }
}

LoopbackNetwork::~LoopbackNetwork() = default;

Transport& LoopbackNetwork::at(Rank rank) noexcept { return port(rank); }

LoopbackNetwork::Port& LoopbackNetwork::port(Rank rank) noexcept { return *ports_[index(rank)]; }

void LoopbackNetwork::start(Rank rank, Delegate& delegate, ArenaView arena) {
    port(rank).arena_ = arena;
    port(rank).delegate_ = &delegate;
}

void LoopbackNetwork::kill(Rank rank, std::string_view reason) {
    port(rank).dead_ = true;
    for (const auto& other : ports_) {
        if (other->self() == rank) continue;
        other->put({.from = rank, .lost = true, .reason = std::string(reason)});
    }
}

}  // namespace mobula::transport
