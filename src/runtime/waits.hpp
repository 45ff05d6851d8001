// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include <mobula/detail/engine.hpp>

#include "base/clock.hpp"
#include "base/spinlock.hpp"
#include "graph/task.hpp"
#include "runtime/gathering.hpp"
#include "runtime/stall.hpp"

namespace mobula::runtime {

class Engine;
using detail::Deadline;
using graph::Object;

/// Who waits on this rank, and for what. Thread-safe.
class Waits {
public:
    explicit Waits(Engine& engine) : engine_(engine) {}

    /// Sleeps in the gathering until it is over, which it also is when the calling task is
    /// cancelled or the job ends. Does not throw: others know of the caller's stack by then.
    void sleep(Gathering& gathering, std::span<detail::Cell* const> objects,
               Deadline deadline) noexcept;

    /// Waits until `count` of the objects exist (are here, if `value`), or the deadline.
    void objects(std::span<detail::Cell* const> cells, std::size_t count, Deadline deadline,
                 bool value);

    /// Wakes those whose task was cancelled.
    void wake_cancelled();
    /// Wakes all: nothing will come any more.
    void end();
    /// Throws Cancelled when the calling task was cancelled, or the job ends.
    void check_cancelled();

    /// For the graph of who waits for whom.
    [[nodiscard]] std::vector<Waiting> list();

private:
    [[nodiscard]] std::size_t ask(std::span<detail::Cell* const> cells, bool value);
    void await(std::span<detail::Cell* const> cells, std::size_t count, Deadline deadline,
               bool value);

    struct Entry {
        Entry* next = nullptr;
        Entry* previous = nullptr;
        Gathering* gathering = nullptr;
        const worker::Frame* frame = nullptr;
        std::span<detail::Cell* const> objects;
        Time since;
    };

    Engine& engine_;
    Spinlock lock_;
    Entry* first_ = nullptr;
    std::atomic<bool> ended_{false};  ///< written under the lock
};

}  // namespace mobula::runtime
