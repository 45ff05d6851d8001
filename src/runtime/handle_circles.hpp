// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <mobula/detail/cell.hpp>

#include "base/ids.hpp"
#include "runtime/exchange.hpp"
#include "runtime/network.hpp"
#include "runtime/stall.hpp"
#include "wire/messages.hpp"

namespace mobula::runtime {

/// Actors that hold each other's handles keep each other alive until the job ends, since an actor
/// ends with its last handle. They are told then: each rank sees, as it destroys its actors one
/// after another, whose handles each of them gave back; rank 0 gets that of all ranks and prints
/// the circles. Thread-safe.
class HandleCircles {
public:
    HandleCircles(Network& network, Exchange& exchange) : network_(network), exchange_(exchange) {}

    /// Looks at the handles of this rank while its actors are destroyed, when no task runs any
    /// more. A rank with more than `looked_at_max` pairs of actors and handles looks at none.
    class Look {
    public:
        Look(HandleCircles& circles, std::size_t actors);
        /// The actor of this title has just been destroyed.
        void destroyed(const ObjectId& actor, const std::string& title);

    private:
        HandleCircles& circles_;
        std::vector<std::pair<ObjectId, detail::CellPtr>> handles_;
        std::vector<std::uint32_t> counts_;
    };
    static constexpr std::size_t looked_at_max = 4'000'000;

    /// Tells rank 0 what this rank saw.
    void send();
    void on_handles(const wire::Handles& message, wire::RecordReader& tail);
    /// On rank 0, when no rank sends any more: prints the circles, if there are any.
    void print();

private:
    Network& network_;
    Exchange& exchange_;
    std::mutex mutex_;
    std::vector<Waiting> holders_;  ///< of this rank, on rank 0 of all
};

}  // namespace mobula::runtime
