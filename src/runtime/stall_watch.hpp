// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "graph/task.hpp"
#include "runtime/actors.hpp"
#include "runtime/clerk.hpp"
#include "runtime/exchange.hpp"
#include "runtime/network.hpp"
#include "runtime/resources.hpp"
#include "runtime/stall.hpp"
#include "runtime/waits.hpp"
#include "worker/team.hpp"

namespace mobula::runtime {

/// Notices that nothing moves: rank 0 finds that its own rank has run nothing for a while although
/// somebody waits, and asks the others. When none of them has run anything either, it prints who
/// waits for whom. Thread-bound to the communication thread, but for the `on_` members.
class StallWatch {
public:
    struct Parts {
        Network& network;
        worker::Team& team;
        Clerk& clerk;
        Exchange& exchange;
        Waits& waits;
        Actors& actors;
        ResourceGate& resources;
    };
    /// A rank counts as standing still after so many seconds; never where it is 0. What is printed
    /// ends the job through `end_job`, where there is one.
    StallWatch(const Parts& parts, double seconds,
               std::function<void(const std::string& sentence)> end_job);

    void tick(Time now);
    void on_stalled(Rank from, const wire::Stalled& message);
    void on_waits(const wire::Waits& message, wire::RecordReader& tail);

private:
    [[nodiscard]] std::vector<Waiting> list() const;
    /// Whether something runs here or has run since the last time this was asked.
    [[nodiscard]] bool moved();
    void collect(std::vector<Waiting> waiting, bool moves);
    void print();

    Network& network_;
    worker::Team& team_;
    Clerk& clerk_;
    Exchange& exchange_;
    Waits& waits_;
    Actors& actors_;
    ResourceGate& resources_;
    const double seconds_;
    const std::function<void(const std::string&)> end_job_;
    std::mutex mutex_;
    std::uint64_t seen_ = 0;
    Time since_ = Clock::now();
    bool asking_ = false;
    bool any_moves_ = false;
    std::size_t answers_ = 0;
    std::vector<Waiting> all_;
};

}  // namespace mobula::runtime
