// SPDX-License-Identifier: Apache-2.0
#include "worker/fiber.hpp"

#include <cxxabi.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <boost/context/detail/fcontext.hpp>
#include <cstdio>
#include <cstring>
#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MOBULA_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define MOBULA_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define MOBULA_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define MOBULA_TSAN 1
#endif
#if defined(MOBULA_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(MOBULA_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace mobula::worker {
namespace {

namespace ctx = boost::context::detail;

std::size_t page_bytes() noexcept {
    static const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    return bytes;
}

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

Fiber::Fiber() noexcept {
#if defined(MOBULA_TSAN)
    sanitizer_fiber_ = __tsan_get_current_fiber();
#endif
}

Fiber::Fiber(std::size_t stack_bytes, void (*entry)(void*), void* argument)
    : entry_(entry), argument_(argument) {
    const std::size_t page = page_bytes();
    stack_bytes_ = (stack_bytes + page - 1) / page * page + page;
    void* memory = mmap(nullptr, stack_bytes_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    stack_ = static_cast<std::byte*>(memory);
    // An overflow shall end the process at once instead of writing into a neighbour's stack.
    if (mprotect(stack_, page, PROT_NONE) != 0) {  // it takes a mapping of its own
        munmap(stack_, stack_bytes_);
        throw std::bad_alloc();
    }
    bottom_ = stack_ + page;
    bottom_bytes_ = stack_bytes_ - page;
    context_ =
        ctx::make_fcontext(stack_ + stack_bytes_, bottom_bytes_, [](ctx::transfer_t transfer) {
            auto& pair = *static_cast<Fiber*(*)[2]>(transfer.data);
            pair[0]->context_ = transfer.fctx;
            Fiber& self = *pair[1];
            self.arrive(*pair[0]);
            self.entry_(self.argument_);
        });
#if defined(MOBULA_TSAN)
    sanitizer_fiber_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
    if (stack_ == nullptr) return;
#if defined(MOBULA_TSAN)
    __tsan_destroy_fiber(sanitizer_fiber_);
#endif
#if defined(MOBULA_ASAN)
    // The frames of a fiber never return; what they marked must not outlive them, or whoever gets
    // these addresses next is accused.
    __asan_unpoison_memory_region(stack_, stack_bytes_);
#endif
    munmap(stack_, stack_bytes_);
}

void Fiber::arrive([[maybe_unused]] Fiber& from) noexcept {
#if defined(MOBULA_ASAN)
    // This is also where the bounds of a thread's own stack become known.
    __sanitizer_finish_switch_fiber(fake_stack_, &from.bottom_, &from.bottom_bytes_);
#endif
}

void Fiber::switch_to(Fiber& other) noexcept {
    Fiber* pair[2] = {this, &other};
    swap_exceptions(exceptions_);
    swap_exceptions(other.exceptions_);
#if defined(MOBULA_ASAN)
    __sanitizer_start_switch_fiber(&fake_stack_, other.bottom_, other.bottom_bytes_);
#endif
#if defined(MOBULA_TSAN)
    __tsan_switch_to_fiber(other.sanitizer_fiber_, 0);
#endif
    const ctx::transfer_t back = ctx::jump_fcontext(other.context_, pair);
    // Whoever switched here tells where it can be gone on with.
    auto& came = *static_cast<Fiber*(*)[2]>(back.data);
    came[0]->context_ = back.fctx;
    arrive(*came[0]);
}

}  // namespace mobula::worker
