// SPDX-License-Identifier: Apache-2.0
#include "native/launcher.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace mobula::native {

namespace {

std::size_t number(const char* name, std::size_t otherwise) noexcept {
    const char* const text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoul(text, nullptr, 10);
}

/// The entry of a list as Slurm writes it, "2(x3),1", for the n-th node.
std::size_t of_node(const char* list, std::size_t node) noexcept {
    std::size_t last = 1;
    while (list != nullptr && *list != '\0') {
        char* rest = nullptr;
        last = std::strtoul(list, &rest, 10);
        if (rest == list) return 1;
        std::size_t times = 1;
        if (rest[0] == '(' && rest[1] == 'x') {
            times = std::strtoul(rest + 2, &rest, 10);
            if (*rest == ')') ++rest;
        }
        if (node < times) break;
        node -= times;
        list = *rest == ',' ? rest + 1 : rest;
    }
    return last;
}

}  // namespace

unsigned launched_rank() noexcept {
    // In this order: an mpirun inside an allocation inherits Slurm's number from the shell that
    // started it, and then the number that mpirun gave is the one that counts.
    for (const char* name : {"PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID"}) {
        if (std::getenv(name) != nullptr) return static_cast<unsigned>(number(name, 0));
    }
    return 0;
}

bool launched_as_first() noexcept { return launched_rank() == 0; }

Launched launched() noexcept {
    Launched said;
    if (std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr) {
        said = {number("OMPI_COMM_WORLD_SIZE", 1), number("OMPI_COMM_WORLD_LOCAL_SIZE", 1)};
    } else if (std::getenv("PMIX_RANK") != nullptr) {
        said = {number("SLURM_STEP_NUM_TASKS", 1),
                of_node(std::getenv("SLURM_STEP_TASKS_PER_NODE"), number("SLURM_NODEID", 0))};
    }
    return {std::max<std::size_t>(said.ranks, 1), std::max<std::size_t>(said.on_node, 1)};
}

void let_first_speak(const std::string& file) noexcept {
    constexpr int looks = 100, between_looks_ms = 20;
    for (int n = 0; n < looks; ++n) {
        if (!file.empty() && ::access(file.c_str(), F_OK) == 0) return;
        ::poll(nullptr, 0, between_looks_ms);
    }
}

}  // namespace mobula::native
