// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "graph/task.hpp"
#include "runtime/network.hpp"
#include "runtime/stall.hpp"

namespace mobula::runtime {

class Engine;

/// Notices that nothing moves: rank 0 finds that its own rank has run nothing for a while although
/// somebody waits, and asks the others. When none of them has run anything either, it prints who
/// waits for whom. Thread-bound to the communication thread, but for the `on_` members.
class StallWatch {
public:
    explicit StallWatch(Engine& engine) : engine_(engine) {}

    void tick(Time now);
    void on_stalled(Rank from, const wire::Stalled& message);
    void on_waits(const wire::Waits& message, wire::RecordReader& tail);

private:
    [[nodiscard]] std::vector<Waiting> list() const;
    /// Whether something runs here or has run since the last time this was asked.
    [[nodiscard]] bool moved();
    void collect(std::vector<Waiting> waiting, bool moves);
    void print();

    Engine& engine_;
    std::mutex mutex_;
    std::uint64_t seen_ = 0;
    Time since_ = Clock::now();
    bool asking_ = false;
    bool any_moves_ = false;
    std::size_t answers_ = 0;
    std::vector<Waiting> all_;
};

/// The name in the wait-for graph of an object that another rank owns, or that other ranks wait
/// for.
[[nodiscard]] std::string waiting_key(const ObjectId& id);

}  // namespace mobula::runtime
