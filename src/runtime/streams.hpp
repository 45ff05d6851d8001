// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "graph/task.hpp"
#include "runtime/dispatcher.hpp"
#include "runtime/exchange.hpp"
#include "runtime/forwarder.hpp"
#include "runtime/gathering.hpp"
#include "runtime/network.hpp"
#include "runtime/waits.hpp"
#include "worker/team.hpp"

namespace mobula::runtime {

using detail::Task;

/// Tasks that make a stream of objects, on both sides: the producer waits when the consumer is
/// TaskOptions::stream_window items behind; the items belong to the rank that submitted the task.
/// Thread-safe.
class Streams {
public:
    struct Parts {
        Network& network;
        Exchange& exchange;
        worker::Team& team;
        Waits& waits;
        Forwarder& forwarder;
        Dispatcher& dispatcher;
    };
    explicit Streams(const Parts& parts)
        : network_(parts.network),
          exchange_(parts.exchange),
          team_(parts.team),
          waits_(parts.waits),
          forwarder_(parts.forwarder),
          dispatcher_(parts.dispatcher) {}

    // ---- the producer ----

    [[nodiscard]] void* place(Task& task, const detail::TypeInfo& type);
    void finish(Task& task);
    /// The task is over.
    void ended(Task& task) noexcept;

    // ---- the consumer ----

    /// The task was submitted here; `stream` is its result.
    void open(const Object& stream);
    [[nodiscard]] CellPtr next(Object& stream, Deadline deadline);
    /// Nobody will ask for items any more.
    void close(const Object& stream);

    void on_item(Rank from, const wire::Item& message, wire::RecordReader& tail);
    void on_consumed(Rank from, const wire::Consumed& message);

private:
    /// In the record that announces it: the item, or where it is. Runs the user's code.
    void send_item(Object& object, const Task& task);

    struct Producer {
        std::mutex mutex;
        std::uint64_t made = 0, consumed = 0;
        Gathering* waiting = nullptr;
        CellPtr item;
    };
    struct Sink {
        std::deque<CellPtr> items;
        Gathering* waiting = nullptr;
        std::shared_ptr<Producer> local;  ///< where the task runs on this rank
        bool remote = false;
        Rank producer{};
        TaskKey key{};
    };
    struct ProducerKey {
        Rank owner;
        TaskKey key;
        friend bool operator==(const ProducerKey&, const ProducerKey&) = default;
    };
    struct ProducerHash {
        std::size_t operator()(const ProducerKey& key) const noexcept {
            return (index(key.owner) << 48U) ^
                   (static_cast<std::size_t>(key.key.generation) << 24U) ^ key.key.slot;
        }
    };

    [[nodiscard]] std::shared_ptr<Producer> producer_of(Task& task);
    void consumed(Producer& producer);
    void add(const Object& stream, CellPtr item, const Task* remote_task);
    [[nodiscard]] std::optional<CellPtr> take(Object& stream, Gathering* waiting);
    void await_news(Object& stream, Gathering& gathering, Deadline deadline);

    Network& network_;
    Exchange& exchange_;
    worker::Team& team_;
    Waits& waits_;
    Forwarder& forwarder_;
    Dispatcher& dispatcher_;
    std::mutex mutex_;
    std::unordered_map<const Object*, Sink> sinks_;
    std::unordered_map<ProducerKey, std::shared_ptr<Producer>, ProducerHash> producers_;
};

}  // namespace mobula::runtime
