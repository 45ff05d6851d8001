// SPDX-License-Identifier: Apache-2.0
#include "worker/thread_state.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cfenv>
#include <cmath>

namespace mobula::worker::thread_state {
namespace {

constinit Libraries libraries;
constinit std::fenv_t usual_environment{};

template <class Function>
void find(void* where, const char* name, Function*& function) noexcept {
    function = reinterpret_cast<Function*>(dlsym(where, name));
}

/// CUDA says 0 when it has done what it was asked; before a program has used it, it says no.
void* cuda_context() noexcept {
    void* context = nullptr;
    return libraries.cuda_get_context(&context) == 0 ? context : nullptr;
}

}  // namespace

Libraries find_libraries(bool gpus) noexcept {
    Libraries found;
    find(RTLD_DEFAULT, "omp_get_max_threads", found.omp_get_max_threads);
    find(RTLD_DEFAULT, "omp_set_num_threads", found.omp_set_num_threads);
    // CUDA's runtime loads the driver where others cannot see it.
    if (void* const driver = gpus ? dlopen("libcuda.so.1", RTLD_LAZY) : nullptr) {
        find(driver, "cuCtxGetCurrent", found.cuda_get_context);
        find(driver, "cuCtxSetCurrent", found.cuda_set_context);
    }
    return found;
}

bool openmp_binds() noexcept {
    int (*proc_bind)() = nullptr;
    find(RTLD_DEFAULT, "omp_get_proc_bind", proc_bind);
    return proc_bind != nullptr && proc_bind() != 0;
}

void follow(const Libraries& given) noexcept {
    libraries = given;
    if (given.omp_set_num_threads == nullptr) libraries.omp_get_max_threads = nullptr;
    if (given.cuda_set_context == nullptr) libraries.cuda_get_context = nullptr;
    detail::followed =
        libraries.omp_get_max_threads != nullptr || libraries.cuda_get_context != nullptr;
}

void note_rounding() noexcept {
    std::fegetenv(&usual_environment);
    std::fenv_t& usual = usual_environment;
    // What has happened so far is not part of it.
    std::feclearexcept(FE_ALL_EXCEPT);
    std::fenv_t clean{};
    std::fegetenv(&clean);
    std::fesetenv(&usual);
    usual = clean;
    detail::usual_rounding = rounding();
}

void detail::restore_rounding() noexcept { std::fesetenv(&usual_environment); }

void begin_task(double cpus) noexcept {
    if (libraries.omp_get_max_threads == nullptr) return;
    const int threads = static_cast<int>(std::clamp(std::ceil(cpus), 1.0, 1e6));
    if (libraries.omp_get_max_threads() != threads) libraries.omp_set_num_threads(threads);
}

Kept keep() noexcept {
    Kept kept;
    if (libraries.omp_get_max_threads != nullptr) {
        kept.openmp_threads = libraries.omp_get_max_threads();
    }
    if (libraries.cuda_get_context != nullptr) kept.cuda_context = cuda_context();
    return kept;
}

void put_back(const Kept& kept) noexcept {
    if (libraries.omp_get_max_threads != nullptr &&
        libraries.omp_get_max_threads() != kept.openmp_threads) {
        libraries.omp_set_num_threads(kept.openmp_threads);
    }
    // A computation without a context makes one when it needs it, or takes what is there.
    if (kept.cuda_context != nullptr && cuda_context() != kept.cuda_context) {
        libraries.cuda_set_context(kept.cuda_context);
    }
}

}  // namespace mobula::worker::thread_state
