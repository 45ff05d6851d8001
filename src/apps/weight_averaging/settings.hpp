// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apps/weight_averaging/averaging.hpp"

namespace weight_averaging {

/// What the command line says. The defaults take one to three minutes on two cores.
struct Settings {
    std::size_t actors = 4;
    std::size_t rounds = 24;  ///< of the whole run, those before a resume included
    std::size_t steps = 58;   ///< of an actor in a round
    std::size_t batch = 64;   ///< images of a step
    double rate = 0.03;       ///< learning rate of the actors
    double momentum = 0.9;    ///< of the actors, within a round
    OuterSettings outer;
    std::optional<std::uint64_t> seed;  ///< 1, or the checkpoint's
    std::filesystem::path data = "/usr/share/datasets/fashion-mnist";
    std::filesystem::path output = "weight_averaging.out";
    std::filesystem::path resume;  ///< a checkpoint; empty: none
    bool serial = false;

    /// The images of one actor in one round.
    [[nodiscard]] std::uint64_t slice() const noexcept { return std::uint64_t{steps} * batch; }
    /// The images of one round.
    [[nodiscard]] std::uint64_t round_images() const noexcept { return actors * slice(); }
};

struct CommandLine {
    Settings settings;
    std::string help;  ///< what to print instead of running; empty: run
};

/// Reads the program's arguments, its name first. Throws mobula::BadInput in one sentence.
[[nodiscard]] CommandLine parse(const std::vector<std::string>& arguments);

}  // namespace weight_averaging
