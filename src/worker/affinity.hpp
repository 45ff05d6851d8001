// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace mobula::worker {

/// The CPUs on which a thread may run, as sched_getaffinity(2) tells them. A value, reentrant.
class CpuMask {
public:
    /// Those of the calling thread. None where the machine has more than 8192.
    [[nodiscard]] static CpuMask of_this_thread() noexcept;
    /// The calling thread runs on these from now on, where there are any.
    void apply() const noexcept;

    [[nodiscard]] bool empty() const noexcept { return bytes_ == 0; }
    [[nodiscard]] bool operator==(const CpuMask& other) const noexcept;

private:
    std::size_t bytes_ = 0;  ///< that the system wrote; the rest is not looked at
    std::array<unsigned long, 128> words_;
};

/// Keeps the CPUs to which a task binds its thread (sched_setaffinity(2), or a library that calls
/// it) from the tasks that run on the thread after it. To look costs a system call, so it is done
/// at most once a millisecond: what a task does to its thread that is over sooner, the next look
/// puts right. Thread-bound.
class Affinity {
public:
    /// The CPUs of the calling thread are the usual ones.
    void note_usual() noexcept { usual_ = CpuMask::of_this_thread(); }
    /// Where a look is due and the thread has other CPUs than the usual ones: gives it the usual
    /// ones, and returns the others. Null else.
    [[nodiscard]] std::unique_ptr<const CpuMask> take(std::uint64_t ticks) noexcept;
    /// A task goes on that has these; null: the usual ones.
    void put_back(const std::unique_ptr<const CpuMask>& taken) noexcept;

private:
    CpuMask usual_;
    std::uint64_t looked_ = 0;
};

}  // namespace mobula::worker
