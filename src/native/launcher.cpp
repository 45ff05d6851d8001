// SPDX-License-Identifier: Apache-2.0
#include "native/launcher.hpp"

#include <signal.h>
#include <time.h>

#include <cstdlib>
#include <string_view>

namespace mobula::native {

bool launched_as_first() noexcept {
    // In this order: an mpirun inside an allocation inherits Slurm's number from the shell that
    // started it, and then the number that mpirun gave is the one that counts.
    for (const char* name : {"PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID"}) {
        if (const char* const rank = std::getenv(name)) return std::string_view(rank) == "0";
    }
    return true;
}

void let_first_speak() noexcept {
    sigset_t none;
    sigemptyset(&none);
    const timespec grace{2, 0};
    sigtimedwait(&none, nullptr, &grace);
}

}  // namespace mobula::native
