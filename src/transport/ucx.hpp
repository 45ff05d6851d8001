// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "transport/transport.hpp"

namespace mobula::transport {

/// The transport over UCX. It is made in two steps, because the ranks must exchange addresses in
/// between: until start() only self-contained questions may be asked.
class UcxTransport : public Transport {
public:
    /// What the peers need to reach this rank; for Meeting::addresses.
    [[nodiscard]] virtual std::vector<std::byte> address() const = 0;

    /// Begins to talk. `arena` and `delegate` are borrowed for the transport's life; the delegate
    /// is first called by progress().
    virtual void start(const Meeting& meeting, ArenaView arena, Delegate& delegate) = 0;
};

/// `together`: all ranks share this machine's memory, so that no network is needed.
/// Throws native::UcpError (a std::runtime_error) when UCX finds nothing to work with, and
/// std::invalid_argument for a bad setting.
[[nodiscard]] std::unique_ptr<UcxTransport> make_ucx_transport(const Settings& settings,
                                                               std::size_t ranks,
                                                               std::size_t ranks_on_node,
                                                               bool together = false);

}  // namespace mobula::transport
