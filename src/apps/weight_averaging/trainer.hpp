// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <tuple>

#include <mobula/mobula.hpp>

namespace weight_averaging {

using Weights = mobula::Array<float>;

/// How an actor trains; the same for all actors of a run.
struct Training {
    std::uint64_t seed = 1;
    std::uint64_t steps = 0, batch = 0;
    double rate = 0, momentum = 0;
};

/// The actor: a ConvNet that trains for a round from the weights it is given. It keeps nothing from
/// round to round: what comes out depends on the weights and on the place in the image sequence
/// alone, wherever and whenever it runs, and a run can go on from the averaged weights exactly.
class Trainer {
public:
    Trainer(std::string data, Training training);

    /// The weights that a run starts with.
    Weights first_weights();

    /// Trains on the images from `first` of the sequence on; gives the new weights and the mean
    /// loss. Lets others on the same worker run between two steps.
    std::tuple<Weights, double> train(const Weights& weights, std::uint64_t first);

private:
    std::string data_;
    Training training_;
};

/// Reads the data on the rank where it runs, for the actors and tasks to come; what is wrong with
/// it, in one sentence, or nothing.
std::string load_data(const std::string& data);

/// How many of the test images first .. first + count - 1 these weights recognise.
std::uint64_t score(const Weights& weights, const std::string& data, std::uint32_t first,
                    std::uint32_t count);

}  // namespace weight_averaging
