// SPDX-License-Identifier: Apache-2.0
#include "worker/fiber.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <boost/context/detail/fcontext.hpp>
#include <cstdio>
#include <cstring>

namespace mobula::worker {
namespace {

namespace ctx = boost::context::detail;

/// The C++ runtime keeps the exceptions being handled per thread; each fiber needs its own.
void swap_exceptions(void* (&kept)[2]) noexcept {
    void* now[2] = {nullptr, nullptr};
    auto* globals = reinterpret_cast<std::byte*>(abi::__cxa_get_globals());
    std::memcpy(now, globals, sizeof now);
    std::memcpy(globals, kept, sizeof kept);
    std::memcpy(kept, now, sizeof now);
}

}  // namespace

std::size_t fibers_max() noexcept {
    std::size_t mappings = 65530;  // the kernel's default, where it does not tell
    if (std::FILE* const file = std::fopen("/proc/sys/vm/max_map_count", "re")) {
        if (std::fscanf(file, "%zu", &mappings) != 1) mappings = 65530;
        std::fclose(file);
    }
    return std::max<std::size_t>((mappings - mappings / 16) / 2, 1);
}

Fiber::Fiber() noexcept { watch_thread(watched_); }

Fiber::Fiber(std::size_t stack_bytes, void (*entry)(void*), void* argument)
    : entry_(entry), argument_(argument), stack_(std::in_place, stack_bytes) {
    watched_.bottom = stack_->bottom();
    watched_.bytes = stack_->bytes();
    watch_fiber(watched_);
    // Above the first frame lies what is zero, at which those who follow the frames stop.
    constexpr std::size_t end_bytes = 64;
    context_ = ctx::make_fcontext(stack_->top() - end_bytes, stack_->bytes() - end_bytes,
                                  [](ctx::transfer_t transfer) {
                                      auto& pair = *static_cast<Fiber*(*)[2]>(transfer.data);
                                      pair[0]->context_ = transfer.fctx;
                                      Fiber& self = *pair[1];
                                      after_switch(pair[0]->watched_, self.watched_);
                                      self.entry_(self.argument_);
                                  });
}

Fiber::~Fiber() {
    if (stack_) forget_fiber(watched_);
}

void Fiber::switch_to(Fiber& other) noexcept {
    Fiber* pair[2] = {this, &other};
    swap_exceptions(exceptions_);
    swap_exceptions(other.exceptions_);
    other.trimmed_ = false;
    before_switch(watched_, other.watched_);
    const ctx::transfer_t back = ctx::jump_fcontext(other.context_, pair);
    // The fiber that switched here tells where it can be gone on with.
    auto& came = *static_cast<Fiber*(*)[2]>(back.data);
    came[0]->context_ = back.fctx;
    after_switch(came[0]->watched_, watched_);
}

void Fiber::trim() noexcept {
    if (trimmed_) return;
    trimmed_ = true;
    stack_->trim();
}

}  // namespace mobula::worker
