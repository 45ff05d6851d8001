// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
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
/// to the rank with the fewest. strict_pack: all to one rank; strict_spread: each to another. A
/// bundle with less choice chooses first, and choices are taken back while that helps, so that
/// "nothing" is no accident of the order; after place_steps_max choices too many (many bundles of
/// many sizes that fill the ranks to the brim) it gives up and says nothing too.
[[nodiscard]] std::optional<std::vector<Rank>> place_bundles(std::span<const Amounts> bundles,
                                                             std::span<const Amounts> room,
                                                             Strategy strategy);

inline constexpr std::size_t place_steps_max = 20'000;

}  // namespace mobula::scheduler
