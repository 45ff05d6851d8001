// SPDX-License-Identifier: Apache-2.0

/// What the threads of a rank do for it beside running tasks.

#include <algorithm>
#include <cstring>
#include <string>

#include "base/driving.hpp"
#include "runtime/engine.hpp"
#include "runtime/signals.hpp"

namespace mobula::runtime {

bool Engine::poll() noexcept {
    if (network.alone()) return false;
    if (!worker::Team::on_worker()) return network.drive();
    const Clerk::Helper helper;
    return network.drive();
}

void Engine::flush() noexcept { network.flush(); }

void Engine::sleep(Time deadline) noexcept {
    network.transport().wait(std::min(deadline, dispatcher.next_look()));
}
void Engine::wake_sleeper() noexcept { network.wake_sleeper(); }

void Engine::tick(Time now) noexcept {
    const Driving driving;
    clock.tick(now);
    network.transport().tick(now);
    last_word.tick();
    stall_watch.tick(now);
    if (const int number = noted_signal(); number != 0 && !team.stopping() && !last_word.begun()) {
        end_job("the job was ended by signal " + std::to_string(number) + " (" + strsignal(number) +
                    ") at rank " + std::to_string(index(self())),
                128 + number);
    }
}

void Engine::idle() noexcept {
    if (network.alone()) return;
    const Clerk::Helper helper;
    const Driving driving;  // as long as the worker counts as idle, nobody else may look
    dispatcher.idle();
}

void Engine::look(Time now) noexcept {
    if (network.alone()) return;
    if (clerk.needs_help()) clerk.hurry();  // what workers have not got to
    const Driving driving;
    dispatcher.look(now);
}

}  // namespace mobula::runtime
