// SPDX-License-Identifier: Apache-2.0
#pragma once

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/// What libraries and processors keep per thread while a computation takes it for its own: how many
/// threads OpenMP's next region gets, CUDA's current context, how floating-point numbers are
/// rounded. Each task begins with its own number of threads and the usual rounding, and with the
/// CUDA context that the one before left; it keeps all of them while it waits and others run on the
/// thread. Where neither OpenMP nor CUDA is in the process this costs nothing but a look at the
/// rounding.
namespace mobula::worker::thread_state {

/// The functions of libraries that are in the process; null where one is not.
struct Libraries {
    int (*omp_get_max_threads)() = nullptr;
    void (*omp_set_num_threads)(int) = nullptr;
    int (*cuda_get_context)(void**) = nullptr;
    int (*cuda_set_context)(void*) = nullptr;
};

/// Those that are loaded now; CUDA's driver is looked for where the rank has GPUs. OpenMP that
/// comes later, by dlopen(), is not seen.
[[nodiscard]] Libraries find_libraries(bool gpus) noexcept;
/// Whether OpenMP was told to bind its threads to CPUs (OMP_PROC_BIND). Those of all workers would
/// be bound to the same ones.
[[nodiscard]] bool openmp_binds() noexcept;

/// From now on these are followed; none by default. Not thread-safe.
void follow(const Libraries& libraries) noexcept;
/// Notes the caller's way to round as the one that every task begins with. Not thread-safe.
void note_rounding() noexcept;

namespace detail {
inline constinit bool followed = false;
inline constinit unsigned usual_rounding = 0;
void restore_rounding() noexcept;
}  // namespace detail

/// Whether any library is followed: only then the next three need to be called.
[[nodiscard]] inline bool followed() noexcept { return detail::followed; }
/// The calling thread begins a task that has so many CPUs. A part of one counts as one.
void begin_task(double cpus) noexcept;
/// What a computation keeps of its own while it waits.
struct Kept {
    int openmp_threads = 0;
    void* cuda_context = nullptr;
};
[[nodiscard]] Kept keep() noexcept;
void put_back(const Kept& kept) noexcept;

/// How the calling thread rounds and treats denormal numbers and traps, as one word. 0 on
/// processors for which this file does not know.
[[nodiscard]] inline unsigned rounding() noexcept {
#if defined(__x86_64__)
    return _mm_getcsr() & 0xFFC0U;  // the others tell what has happened
#else
    return 0;
#endif
}

/// After a task: the next one begins with the usual rounding.
inline void end_task() noexcept {
    if (rounding() != detail::usual_rounding) [[unlikely]]
        detail::restore_rounding();
}

}  // namespace mobula::worker::thread_state
