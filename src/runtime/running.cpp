// SPDX-License-Identifier: Apache-2.0
#include "runtime/running.hpp"

#include "runtime/engine.hpp"

namespace mobula::runtime {

std::string_view running_name() noexcept {
    const worker::Frame* const frame = worker::Team::frame();
    if (frame == nullptr) return {};
    if (frame->task == nullptr) return frame->driver ? "the driver" : "";
    const Task& task = *frame->task;
    if (task.extra != nullptr && !task.extra->options.name.empty()) return task.extra->options.name;
    return Engine::running() ? Engine::current().functions.name_of(*task.info) : "";
}

void tell_full_stack(fatal::Event& event) noexcept {
    if (!event.is_fault()) return;
    const std::size_t bytes = worker::Team::full_stack_bytes(event.info->si_addr);
    if (bytes == 0) return;
    constexpr std::size_t kib = 1024, mib = 1024 * kib;
    const bool in_mib = bytes % mib == 0;
    const std::string_view name = running_name();
    event.text.add(": the stack of ").add(name.empty() ? "a worker" : name).add(" is full, ");
    event.text.add(bytes / (in_mib ? mib : kib)).add(in_mib ? " MiB" : " KiB");
    event.text.add("; MOBULA_STACK_BYTES sets another size");
}

}  // namespace mobula::runtime
