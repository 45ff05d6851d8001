// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

// Null where there is no such sanitizer; their own headers would make these necessary for linking.
extern "C" {
__attribute__((weak)) void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom,
                                                          std::size_t bytes);
__attribute__((weak)) void __sanitizer_finish_switch_fiber(void* fake_stack, const void** bottom,
                                                           std::size_t* bytes);
__attribute__((weak)) void __tsan_switch_to_fiber(void* fiber, unsigned flags);
}

/// Tools that watch a program and follow its stacks: the address and the thread sanitizer, and
/// valgrind. They are found when the program runs, so that a program can be built for one against
/// an engine that was not.
namespace mobula::worker {

/// Whether any of them watches this process.
[[nodiscard]] bool watched() noexcept;

/// Whether the thread sanitizer watches a process whose engine was built without it: it does not
/// see then what orders the tasks, and reports races that are none.
[[nodiscard]] bool misleads_thread_sanitizer() noexcept;

/// What the sanitizers know of one stack.
struct WatchedStack {
    const void* bottom = nullptr;  ///< of a thread's own stack known once it was left
    std::size_t bytes = 0;
    void* fake_stack = nullptr;  ///< of the address sanitizer
    void* fiber = nullptr;       ///< of the thread sanitizer
};

/// The calling thread's own stack.
void watch_thread(WatchedStack& stack) noexcept;
/// A stack that was made, before the first switch to it.
void watch_fiber(WatchedStack& stack) noexcept;
/// A fiber that never runs again.
void forget_fiber(WatchedStack& stack) noexcept;
namespace watch_detail {
extern const bool by_asan;
extern const bool by_tsan;
}  // namespace watch_detail

/// The next thing on this thread is the jump from one stack to the other. Always inline: the thread
/// sanitizer counts calls and returns per stack, and this one would return on another.
[[gnu::always_inline]] inline void before_switch(WatchedStack& from, WatchedStack& to) noexcept {
    if (watch_detail::by_asan) [[unlikely]] {
        __sanitizer_start_switch_fiber(&from.fake_stack, to.bottom, to.bytes);
    }
    if (watch_detail::by_tsan) [[unlikely]]
        __tsan_switch_to_fiber(to.fiber, 0);
}
/// The first thing after the jump, on the stack that was jumped to.
[[gnu::always_inline]] inline void after_switch(WatchedStack& from, WatchedStack& to) noexcept {
    // This is also where the bounds of a thread's own stack become known.
    if (watch_detail::by_asan) [[unlikely]] {
        __sanitizer_finish_switch_fiber(to.fake_stack, &from.bottom, &from.bytes);
    }
}

/// Tells valgrind of a stack's memory; gives the number to retract it by.
[[nodiscard]] unsigned announce_stack(void* bottom, void* top) noexcept;
void retract_stack(unsigned number, void* bottom, std::size_t bytes) noexcept;

}  // namespace mobula::worker
