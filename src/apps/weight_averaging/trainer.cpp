// SPDX-License-Identifier: Apache-2.0
#include "apps/weight_averaging/trainer.hpp"

#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "apps/weight_averaging/dataset.hpp"
#include "apps/weight_averaging/network.hpp"
#include "apps/weight_averaging/parameters.hpp"

namespace weight_averaging {

Trainer::Trainer(std::string data, Training training)
    : data_(std::move(data)), training_(training) {}

Weights Trainer::first_weights() { return Weights::copy_of(initial_weights(training_.seed)); }

std::tuple<Weights, double> Trainer::train(const Weights& weights, std::uint64_t first) {
    const Images& images = local_dataset(data_).train;
    const std::vector<std::uint32_t> indices = ImageSequence(training_.seed, images.count())
                                                   .take(first, training_.steps * training_.batch);
    // Trained in place in the array that goes back: the one copy of a round.
    Weights trained = Weights::copy_of(weights.span());
    Network network({trained.mutable_data(), trained.size()});
    double loss = 0;
    for (std::size_t step = 0; step < training_.steps; ++step) {
        const std::span<const std::uint32_t> batch =
            std::span(indices).subspan(step * training_.batch, training_.batch);
        loss += network.train(make_batch(images, batch), training_.rate, training_.momentum);
        // A driver that shares this worker must not wait for a whole round to see results arrive.
        mobula::yield();
    }
    return {std::move(trained), loss / static_cast<double>(training_.steps)};
}

std::string load_data(const std::string& data) {
    try {
        static_cast<void>(local_dataset(data));
        return {};
    } catch (const mobula::BadInput& error) {
        return error.what();
    }
}

std::uint64_t score(const Weights& weights, const std::string& data, std::uint32_t first,
                    std::uint32_t count) {
    std::vector<std::uint32_t> indices(count);
    std::iota(indices.begin(), indices.end(), first);
    return count_correct(weights.span(), make_batch(local_dataset(data).test, indices));
}

}  // namespace weight_averaging
