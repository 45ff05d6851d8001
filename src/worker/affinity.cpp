// SPDX-License-Identifier: Apache-2.0
#include "worker/affinity.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <new>

#include "base/tsc.hpp"

namespace mobula::worker {
namespace {

constexpr std::uint64_t look_every_us = 1000;

}  // namespace

/// Not by the C library's function, which clears what the system did not write.
CpuMask CpuMask::of_this_thread() noexcept {
    CpuMask mask;
    const long bytes = ::syscall(SYS_sched_getaffinity, 0, sizeof mask.words_, mask.words_.data());
    if (bytes > 0) mask.bytes_ = static_cast<std::size_t>(bytes);
    return mask;
}

void CpuMask::apply() const noexcept {
    if (!empty()) ::syscall(SYS_sched_setaffinity, 0, bytes_, words_.data());
}

bool CpuMask::operator==(const CpuMask& other) const noexcept {
    return bytes_ == other.bytes_ && std::memcmp(words_.data(), other.words_.data(), bytes_) == 0;
}

std::unique_ptr<const CpuMask> Affinity::take(std::uint64_t ticks) noexcept {
    if (ticks - looked_ < look_every_us * ticks_per_microsecond()) return {};
    looked_ = ticks;
    const CpuMask now = CpuMask::of_this_thread();
    if (now == usual_) return {};
    usual_.apply();
    // Where the system allows fewer than before, these are the usual ones.
    if (const CpuMask allowed = CpuMask::of_this_thread(); !(allowed == usual_)) {
        usual_ = allowed;
        if (now == usual_) return {};
    }
    return std::unique_ptr<const CpuMask>(new (std::nothrow) CpuMask(now));
}

void Affinity::put_back(const std::unique_ptr<const CpuMask>& taken) noexcept {
    if (!taken) return;
    taken->apply();
    looked_ = 0;  // the next look is due when this task is over
}

}  // namespace mobula::worker
