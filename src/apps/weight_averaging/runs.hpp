// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "apps/weight_averaging/checkpoint.hpp"
#include "apps/weight_averaging/settings.hpp"

namespace weight_averaging {

/// Takes the state after each round, to be written down.
using Save = std::function<void(const Checkpoint&)>;

/// What this run did, without what came before a resume.
struct Outcome {
    std::uint64_t images = 0;
    double seconds = 0;  ///< from the first step to the last score
};

/// Trains in actors on all ranks and averages after every round, from `state` on, which is at the
/// run's end the last round's. `state.weights` is empty for a fresh start. Called by the driver.
Outcome run_averaged(const Settings& settings, Checkpoint& state, const Save& save);

/// Trains the same images with the same rounds of scoring, on the calling thread alone.
Outcome run_serial(const Settings& settings, Checkpoint& state, const Save& save);

}  // namespace weight_averaging
