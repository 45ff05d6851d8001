// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "transport/transport.hpp"

namespace mobula::transport {

/// A network of ranks inside one process, for tests of what stands on a Transport: same promises,
/// no MPI, no UCX, no time. Records are copied as they would be on the wire; a rank can be killed.
///
/// The network and its transports are *thread-safe*, as a Transport is; start() and kill()
/// included. The network must outlive the use of its transports.
class LoopbackNetwork {
public:
    explicit LoopbackNetwork(std::size_t ranks);
    ~LoopbackNetwork();
    LoopbackNetwork(const LoopbackNetwork&) = delete;
    LoopbackNetwork& operator=(const LoopbackNetwork&) = delete;

    [[nodiscard]] Transport& at(Rank rank) noexcept;

    /// `arena` is what peers may fetch from the rank. Records that came before wait.
    void start(Rank rank, Delegate& delegate, ArenaView arena = {});

    /// From here on nothing of the rank arrives anywhere; the others are told by their next
    /// progress(). What it had sent before may still arrive, as with a real network.
    void kill(Rank rank, std::string_view reason = "it was killed by the test");

private:
    class Port;
    [[nodiscard]] Port& port(Rank rank) noexcept;

    std::vector<std::unique_ptr<Port>> ports_;
};

}  // namespace mobula::transport
