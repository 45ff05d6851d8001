// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/resources.hpp"

namespace mobula::runtime {

/// What every rank tells every other when they meet.
struct Peer {
    std::uint32_t workers = 1;
    bool crowded = false;        ///< the ranks of its node have more workers than CPUs
    double workers_per_cpu = 0;  ///< of its node
    std::vector<unsigned> gpus;  ///< CUDA's numbers there
    scheduler::Amounts resources;
};

}  // namespace mobula::runtime
