// SPDX-License-Identifier: Apache-2.0
#include "worker/stack.hpp"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <functional>
#include <new>

#include "worker/watchers.hpp"

namespace mobula::worker {
namespace {

constexpr std::size_t kib = 1024, mib = 1024 * kib;

/// What trim() leaves.
constexpr std::size_t kept_bytes = 64 * kib;

std::size_t in_pages(std::size_t bytes) noexcept {
    static const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    return (bytes + page - 1) / page * page;
}

/// Address space costs nothing, except where it is limited: by `ulimit -v`, and under tools that
/// keep memory of their own for each address or have little room for ours.
std::size_t guard_bytes() noexcept {
    static const bool room = [] {
        rlimit limit{};
        const bool unlimited = getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY;
        return unlimited && !watched();
    }();
    return in_pages(room ? 64 * mib : 64 * kib);
}

}  // namespace

Stack::Stack(std::size_t bytes) : bytes_(in_pages(bytes)), guard_bytes_(guard_bytes()) {
    // The kernel counts what can be written, where it counts: so all begins as guard.
    void* const memory = mmap(nullptr, guard_bytes_ + bytes_, PROT_NONE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<std::byte*>(memory);
    if (mprotect(bottom(), bytes_, PROT_READ | PROT_WRITE) != 0) {  // it takes a second mapping
        munmap(memory_, guard_bytes_ + bytes_);
        throw std::bad_alloc();
    }
    // Where the system gives huge pages unasked, the first touch would take 2 MiB.
    static_cast<void>(madvise(bottom(), bytes_, MADV_NOHUGEPAGE));
    valgrind_ = announce_stack(bottom(), top());
}

Stack::~Stack() {
    retract_stack(valgrind_, bottom(), bytes_);
    munmap(memory_, guard_bytes_ + bytes_);
}

bool Stack::guards(const void* address) const noexcept {
    const std::less<const void*> below;
    return !below(address, memory_) && below(address, bottom());
}

void Stack::trim() noexcept {
    if (bytes_ <= kept_bytes) return;
    static_cast<void>(madvise(bottom(), bytes_ - kept_bytes, MADV_DONTNEED));
}

}  // namespace mobula::worker
