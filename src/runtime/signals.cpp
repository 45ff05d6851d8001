// SPDX-License-Identifier: Apache-2.0
#include "runtime/signals.hpp"

#include <signal.h>

#include <array>
#include <atomic>

namespace mobula::runtime {
namespace {

constexpr std::array watched{SIGINT, SIGTERM, SIGUSR1};

std::atomic<int> noted{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may only touch such");

void note(int number) {
    int none = 0;
    noted.compare_exchange_strong(none, number);
}

}  // namespace

void watch_signals() noexcept {
    for (const int number : watched) {
        struct sigaction present {};
        sigaction(number, nullptr, &present);
        if (present.sa_handler != SIG_DFL) continue;
        struct sigaction action {};
        action.sa_handler = &note;
        action.sa_flags = SA_RESTART;
        sigaction(number, &action, nullptr);
    }
}

int noted_signal() noexcept { return noted.load(std::memory_order_relaxed); }

void unwatch_signals() noexcept {
    for (const int number : watched) {
        struct sigaction present {};
        sigaction(number, nullptr, &present);
        if (present.sa_handler == &note) signal(number, SIG_DFL);
    }
}

}  // namespace mobula::runtime
