// SPDX-License-Identifier: Apache-2.0
#include "worker/watchers.hpp"

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

extern "C" {
__attribute__((weak)) void __asan_unpoison_memory_region(const volatile void* address,
                                                         std::size_t bytes);
__attribute__((weak)) void* __tsan_get_current_fiber();
__attribute__((weak)) void* __tsan_create_fiber(unsigned flags);
__attribute__((weak)) void __tsan_destroy_fiber(void* fiber);
}

namespace mobula::worker {
namespace {

bool by_valgrind() noexcept {
#if defined(RUNNING_ON_VALGRIND)
    return RUNNING_ON_VALGRIND != 0;
#else
    return false;
#endif
}

}  // namespace

// The thread sanitizer may have the first function too.
const bool watch_detail::by_asan =
    &__asan_unpoison_memory_region != nullptr && &__sanitizer_start_switch_fiber != nullptr;
const bool watch_detail::by_tsan = &__tsan_switch_to_fiber != nullptr;

using watch_detail::by_asan;
using watch_detail::by_tsan;

bool watched() noexcept { return by_asan || by_tsan || by_valgrind(); }

bool misleads_thread_sanitizer() noexcept {
#if defined(__SANITIZE_THREAD__)
    return false;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
    return false;
#endif
#endif
    return by_tsan;
}

void watch_thread(WatchedStack& stack) noexcept {
    if (by_tsan) stack.fiber = __tsan_get_current_fiber();
}

void watch_fiber(WatchedStack& stack) noexcept {
    if (by_tsan) stack.fiber = __tsan_create_fiber(0);
}

void forget_fiber(WatchedStack& stack) noexcept {
    if (by_tsan) __tsan_destroy_fiber(stack.fiber);
}

unsigned announce_stack([[maybe_unused]] void* bottom, [[maybe_unused]] void* top) noexcept {
#if defined(VALGRIND_STACK_REGISTER)
    return static_cast<unsigned>(VALGRIND_STACK_REGISTER(bottom, top));
#else
    return 0;
#endif
}

void retract_stack([[maybe_unused]] unsigned number, void* bottom, std::size_t bytes) noexcept {
    // The frames of a fiber never return; what they marked must not outlive them, or the next owner
    // of these addresses is accused.
    if (by_asan) __asan_unpoison_memory_region(bottom, bytes);
#if defined(VALGRIND_STACK_DEREGISTER)
    VALGRIND_STACK_DEREGISTER(number);
#endif
}

}  // namespace mobula::worker
