// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <vector>

#include <mobula/options.hpp>

#include "base/ids.hpp"
#include "scheduler/resources.hpp"

namespace mobula::scheduler {

/// Chooses a rank for each bundle of a placement group such that all fit into `room` (per rank, in
/// the order of the ranks) at once; nothing when they do not. Pure.
///
/// pack: bundles go to the rank that has taken some already, else to the first with room. spread:
/// to the rank with the fewest. strict_pack: all to one rank; strict_spread: each to another.
[[nodiscard]] std::optional<std::vector<Rank>> place_bundles(std::span<const Amounts> bundles,
                                                             std::span<const Amounts> room,
                                                             Strategy strategy);

}  // namespace mobula::scheduler
