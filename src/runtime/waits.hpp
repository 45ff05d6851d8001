// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include <mobula/detail/engine.hpp>

#include "base/clock.hpp"
#include "base/spinlock.hpp"
#include "graph/task.hpp"
#include "runtime/exchange.hpp"
#include "runtime/gathering.hpp"
#include "runtime/network.hpp"
#include "runtime/stall.hpp"
#include "runtime/task_life.hpp"
#include "runtime/task_mark.hpp"
#include "worker/team.hpp"

namespace mobula::runtime {

using detail::Deadline;
using graph::Object;

/// Who waits on this rank, and for what. Thread-safe.
class Waits {
public:
    Waits(TaskLife& life, Network& network, Exchange& exchange, worker::Team& team)
        : life_(life), network_(network), exchange_(exchange), team_(team) {}

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
    /// To be called before a wait: throws BadInput where a serialize of the user's encodes.
    static void refuse_to_encoder();

    /// For the graph of who waits for whom. `target_of` says what makes an object.
    using TargetOf = std::function<Waiting::Target(Object& object)>;
    [[nodiscard]] std::vector<Waiting> list(const TargetOf& target_of);
    /// What they wait for, so far as list() tells it.
    [[nodiscard]] std::vector<detail::CellPtr> waited_for() { return copy().objects; }

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

    /// What list() copies of an entry, and where the objects that it waits for are in the copy.
    struct Mark {
        TaskMark task;
        enum class Kind : std::uint8_t { task, driver, thread } kind = Kind::thread;
        bool any = false;
        Time since{};
        std::size_t objects = 0, count = 0;
    };
    struct Snapshot {
        std::vector<Mark> entries;
        std::vector<detail::CellPtr> objects;
    };
    [[nodiscard]] Snapshot copy();
    [[nodiscard]] Waiting describe(const Mark& mark, const Snapshot& all, Time now,
                                   const TargetOf& target_of) const;

    TaskLife& life_;
    Network& network_;
    Exchange& exchange_;
    worker::Team& team_;
    Spinlock lock_;
    Entry* first_ = nullptr;
    std::atomic<bool> ended_{false};  ///< written under the lock
};

}  // namespace mobula::runtime
