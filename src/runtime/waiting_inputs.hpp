// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "graph/object.hpp"
#include "runtime/exchange.hpp"
#include "runtime/stall.hpp"

namespace mobula::runtime {

/// For the graph of who waits for whom: the tasks of this rank that make the objects and wait for
/// inputs themselves, those that make these inputs and wait for theirs, and so on. No list of
/// waiting tasks has them: a task is in its inputs' lists until they exist. Thread-safe.
void list_waiting_inputs(Exchange& exchange, std::vector<detail::CellPtr> objects,
                         std::vector<Waiting>& all);

}  // namespace mobula::runtime
