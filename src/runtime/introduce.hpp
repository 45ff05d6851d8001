// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "native/devices.hpp"
#include "runtime/peer.hpp"
#include "transport/cluster.hpp"

namespace mobula::runtime {

/// Logs what somebody looks for at the start. At level info each rank tells its node, CPUs, workers
/// and GPUs, and rank 0 how large objects come from the others. A warning where the launcher bound
/// ranks of one node to the same CPUs, from the first of these ranks. `devices` and `peers` are per
/// rank. Call it once when the cluster has started, which settles the ways to the others.
void introduce(transport::Cluster& cluster, std::span<const native::Devices> devices,
               std::span<const Peer> peers);

/// Whether the launcher left the process only some of the CPUs of its node.
[[nodiscard]] bool is_bound(const native::Devices& devices);

}  // namespace mobula::runtime
