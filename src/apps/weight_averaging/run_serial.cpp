// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include <mobula/error.hpp>

#include "apps/weight_averaging/dataset.hpp"
#include "apps/weight_averaging/network.hpp"
#include "apps/weight_averaging/parameters.hpp"
#include "apps/weight_averaging/progress.hpp"
#include "apps/weight_averaging/runs.hpp"
#include "apps/weight_averaging/score_slices.hpp"
#include "apps/weight_averaging/trainer.hpp"

namespace weight_averaging {

Outcome run_serial(const Settings& settings, Checkpoint& state, const Save& save) {
    const Images& train = local_dataset(settings.data).train;
    const Images& test = local_dataset(settings.data).test;
    state.weights = initial_weights(state.seed);
    Network network(state.weights);
    ImageSequence sequence(state.seed, train.count());
    const std::uint64_t steps = settings.actors * settings.steps;
    Progress progress(stdout, terminal_columns(), settings.rounds,
                      settings.rounds * settings.round_images(), 0);
    while (state.rounds < settings.rounds) {
        double loss = 0;
        for (std::uint64_t step = 0; step < steps; ++step) {
            const Batch batch = make_batch(train, sequence.take(state.images, settings.batch));
            loss +=
                network.train(batch, settings.rate, settings.momentum) / static_cast<double>(steps);
            state.images += settings.batch;
            progress.add_images(settings.batch);
        }
        ++state.rounds;
        if (!std::isfinite(loss)) {
            throw mobula::Error("the training diverged in round " + std::to_string(state.rounds) +
                                ": its loss is no number; a lower --lr helps");
        }
        const Weights weights = Weights::copy_of(state.weights);
        std::uint64_t correct = 0;
        for (const Slice slice : score_slices(test.count())) {
            correct += score(weights, settings.data.string(), slice.first, slice.count);
        }
        state.accuracy = static_cast<double>(correct) / static_cast<double>(test.count());
        state.curve.push_back(
            {state.rounds, state.images, progress.seconds(), loss, state.accuracy});
        progress.add_point(state.curve.back());
        save(state);
    }
    return {state.images, progress.seconds()};
}

}  // namespace weight_averaging
