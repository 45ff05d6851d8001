// SPDX-License-Identifier: Apache-2.0
/// Weight averaging: actors train a ConvNet each on their part of Fashion-MNIST, the driver
/// averages their weights after every round and gives them back.

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include <mobula/mobula.hpp>

#include "native/file.hpp"

#include "apps/weight_averaging/checkpoint.hpp"
#include "apps/weight_averaging/curve.hpp"
#include "apps/weight_averaging/network.hpp"
#include "apps/weight_averaging/runs.hpp"
#include "apps/weight_averaging/settings.hpp"
#include "apps/weight_averaging/trainer.hpp"

namespace {

using namespace weight_averaging;

/// The weights (".h5") or the learning curve (".svg").
std::string output_of(const Settings& settings, const char* kind) {
    return (settings.output / (settings.serial ? "serial" : "averaged")).string() + kind;
}

/// Everything that can be wrong with the user's input is found here, before anything starts.
Checkpoint prepare(const Settings& settings, const mobula::Job& job) {
    Checkpoint state;
    state.seed = settings.seed.value_or(1);
    if (!settings.resume.empty()) {
        state = read_checkpoint(settings.resume);
        state.seed = settings.seed.value_or(state.seed);
        if (state.rounds >= settings.rounds) {
            throw mobula::BadInput(
                fmt::format("the checkpoint {} has done its {} rounds: --rounds must be more than "
                            "that to go on",
                            settings.resume.string(), state.rounds));
        }
    }
    const std::string data = settings.data.string();
    if (const std::string wrong = load_data(data); !wrong.empty()) throw mobula::BadInput(wrong);
    std::error_code error;
    std::filesystem::create_directories(settings.output, error);
    if (!std::filesystem::is_directory(settings.output) ||
        access(settings.output.c_str(), W_OK | X_OK) != 0) {
        throw mobula::BadInput("the output folder " + settings.output.string() +
                               " cannot be made or written to");
    }
    for (const char* const kind : {".h5", ".svg"}) {
        const std::string why = mobula::native::why_not_replaceable(output_of(settings, kind));
        if (!why.empty()) throw mobula::BadInput("the output " + why);
    }
    if (!settings.serial) {
        std::vector<mobula::Ref<std::string>> loaded;
        for (unsigned rank = 1; rank < job.ranks; ++rank) {
            loaded.push_back(
                mobula::remote<load_data>({.placement = mobula::Placement::on_rank(rank)}, data));
        }
        for (const std::string& wrong : mobula::get(loaded)) {
            if (!wrong.empty()) throw mobula::BadInput(wrong);
        }
    }
    return state;
}

int driver(mobula::Job& job) {
    const CommandLine line = parse(job.arguments);
    if (!line.help.empty()) {
        std::fputs(line.help.c_str(), stdout);
        return 0;
    }
    const Settings& settings = line.settings;
    Checkpoint state = prepare(settings, job);

    const std::string weights_path = output_of(settings, ".h5");
    const std::string picture_path = output_of(settings, ".svg");
    const Save save = [&](const Checkpoint& after) { write_checkpoint(weights_path, after); };
    const Outcome outcome =
        settings.serial ? run_serial(settings, state, save) : run_averaged(settings, state, save);

    const unsigned ranks = settings.serial ? 1 : job.ranks;
    const std::size_t actors = settings.serial ? 1 : settings.actors;
    const std::string title =
        settings.serial ? std::string("Fashion-MNIST: one thread, no averaging")
                        : fmt::format("Fashion-MNIST: {} actors, averaged after every {} steps",
                                      actors, settings.steps);
    const std::string why =
        mobula::native::replace_file(picture_path, curve_svg(state.curve, title));
    if (!why.empty()) throw mobula::Error("the learning curve: " + why);
    fmt::print("\n{}\nweights: {}\nlearning curve: {}\n", curve_table(state.curve), weights_path,
               picture_path);
    fmt::print("test accuracy {:.2f} %, {:.0f} images/s, {} images, {} actors, {} ranks\n",
               state.accuracy * 100, static_cast<double>(outcome.images) / outcome.seconds,
               outcome.images, actors, ranks);
    std::fflush(stdout);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    // One task per CPU is the engine's way to fill a machine; threads below it only get in its way.
    setenv("OMP_NUM_THREADS", "1", 0);
    setenv("OPENBLAS_NUM_THREADS", "1", 0);
    weight_averaging::keep_freed_memory();
    return mobula::run(argc, argv, driver);
}
