// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cmath>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <mobula/mobula.hpp>

#include "apps/weight_averaging/dataset.hpp"
#include "apps/weight_averaging/progress.hpp"
#include "apps/weight_averaging/runs.hpp"
#include "apps/weight_averaging/score_slices.hpp"
#include "apps/weight_averaging/trainer.hpp"

namespace weight_averaging {
namespace {

using mobula::Ref;

/// A round under way: what every actor will bring back, in the order of the actors.
struct Round {
    std::vector<Ref<Weights>> weights;
    std::vector<Ref<double>> losses;
};

class AveragedRun {
public:
    AveragedRun(const Settings& settings, Checkpoint& state)
        : settings_(settings),
          state_(state),
          data_(settings.data.string()),
          test_images_(local_dataset(settings.data).test.count()),
          outer_(settings.outer, std::move(state.velocity)) {
        const Training training{state.seed, settings.steps, settings.batch, settings.rate,
                                settings.momentum};
        for (std::size_t i = 0; i < settings.actors; ++i) {
            trainers_.push_back(mobula::spawn<Trainer>(
                {.name = "trainer " + std::to_string(i), .placement = mobula::Placement::spread()},
                data_, training));
        }
        for (const mobula::Actor<Trainer>& trainer : trainers_) mobula::get(trainer.ready());
    }

    Outcome run(const Save& save) {
        const std::uint64_t rounds = settings_.rounds - state_.rounds;
        const double seconds_before = state_.curve.empty() ? 0 : state_.curve.back().seconds;
        Weights weights = state_.weights.empty()
                              ? mobula::get(trainers_.front().call<&Trainer::first_weights>())
                              : Weights::copy_of(state_.weights);
        Progress progress(stdout, terminal_columns(), settings_.rounds,
                          rounds * settings_.round_images(), state_.rounds);
        Round round = start_round(mobula::put(weights));
        while (state_.rounds < settings_.rounds) {
            const double loss = finish_round(round, progress);
            weights = average(round, weights);
            state_.images += settings_.round_images();
            ++state_.rounds;
            // The next round starts before this one is scored, so that no actor waits for it.
            const Ref<Weights> next = mobula::put(weights);
            if (state_.rounds < settings_.rounds) round = start_round(next);
            state_.accuracy = score_all(next, progress);

            state_.weights.assign(weights.begin(), weights.end());
            state_.velocity = outer_.velocity();
            state_.curve.push_back({state_.rounds, state_.images,
                                    seconds_before + progress.seconds(), loss, state_.accuracy});
            progress.add_point(state_.curve.back());
            save(state_);
        }
        return {rounds * settings_.round_images(), progress.seconds()};
    }

private:
    static constexpr auto tick_interval = std::chrono::milliseconds(200);

    /// Every actor gets the weights and its own part of the image sequence.
    Round start_round(const Ref<Weights>& weights) {
        Round round;
        std::uint64_t first = state_.images;
        for (const mobula::Actor<Trainer>& trainer : trainers_) {
            auto [trained, loss] = trainer.call<&Trainer::train>(weights, first);
            round.weights.push_back(std::move(trained));
            round.losses.push_back(std::move(loss));
            first += settings_.slice();
        }
        return round;
    }

    /// Waits for all actors; the mean loss, summed in their order.
    double finish_round(const Round& round, Progress& progress) {
        await(
            round.losses, [&](std::size_t) { progress.add_images(settings_.slice()); }, progress);
        const std::vector<double> losses = mobula::get(round.losses);
        const double loss =
            std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(losses.size());
        if (!std::isfinite(loss)) {
            throw mobula::Error("the training diverged in round " +
                                std::to_string(state_.rounds + 1) +
                                ": its loss is no number; a lower --lr helps");
        }
        return loss;
    }

    Weights average(const Round& round, const Weights& before) {
        const std::vector<Weights> trained = mobula::get(round.weights);
        std::vector<std::span<const float>> spans;
        for (const Weights& weights : trained) spans.push_back(weights.span());
        return Weights::copy_of(outer_.step(before.span(), spans));
    }

    /// The accuracy on all test images, by tasks on all ranks.
    double score_all(const Ref<Weights>& weights, Progress& progress) {
        std::vector<Ref<std::uint64_t>> scores;
        for (const Slice slice : score_slices(test_images_)) {
            scores.push_back(mobula::remote<score>({.placement = mobula::Placement::spread()},
                                                   weights, data_, slice.first, slice.count));
        }
        await(
            scores, [](std::size_t) {}, progress);
        const std::vector<std::uint64_t> correct = mobula::get(scores);
        return static_cast<double>(
                   std::accumulate(correct.begin(), correct.end(), std::uint64_t{0})) /
               static_cast<double>(test_images_);
    }

    /// Waits for all of them and keeps the progress line alive; throws as soon as one has failed.
    template <class T, class Arrived>
    static void await(const std::vector<Ref<T>>& refs, Arrived arrived, Progress& progress) {
        mobula::Arrivals arrivals = mobula::as_completed(refs);
        for (std::size_t left = refs.size(); left > 0;) {
            if (const std::optional<std::size_t> which = arrivals.next(tick_interval)) {
                mobula::get(refs[*which]);
                arrived(*which);
                --left;
            } else {
                progress.tick();
            }
        }
    }

    const Settings& settings_;
    Checkpoint& state_;
    const std::string data_;
    const std::size_t test_images_;
    OuterOptimizer outer_;
    std::vector<mobula::Actor<Trainer>> trainers_;
};

}  // namespace

Outcome run_averaged(const Settings& settings, Checkpoint& state, const Save& save) {
    return AveragedRun(settings, state).run(save);
}

}  // namespace weight_averaging
