// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/ids.hpp"
#include "graph/failure.hpp"
#include "graph/task.hpp"
#include "runtime/task_mark.hpp"

namespace mobula::runtime {

using detail::Task;
using graph::FailurePtr;

/// The steps of a task's life that lie with the engine, for parts that know only their own step:
/// what they hand a task back with. Thread-safe.
class TaskLife {
public:
    /// It runs on this rank: brings its inputs here, then queues it.
    virtual void run_here(Task& task) = 0;
    /// Its inputs are here.
    virtual void enqueue(Task& task) = 0;
    /// It will not run; tells whatever waits for its results.
    virtual void fail(Task& task, const FailurePtr& failure) noexcept = 0;
    /// The same of one that could not be sent to the rank. An actor that it was to construct there
    /// is dead.
    virtual void fail_unsent(Task& task, Rank to, const FailurePtr& failure) noexcept = 0;
    /// Its results are all there, or have failed: frees it.
    virtual void retire(Task& task) noexcept = 0;
    /// As graph::drop(), wherever that may run code of the user's.
    virtual void drop(Task& task) noexcept = 0;

    /// The running task sleeps, and goes on: meanwhile its CPUs are lent to others, since those
    /// that it waits for may need just these.
    enum class Lent : std::uint8_t { nothing, own, of_its_actor };
    [[nodiscard]] virtual Lent sleeps(const Task& task) noexcept = 0;
    virtual void goes_on(const Task& task, Lent lent) noexcept = 0;
    /// What the graph of waiting tasks tells of one that is on this rank.
    [[nodiscard]] virtual TaskMark mark_of(const Task& task) const noexcept = 0;
    /// Tasks, or scopes, were marked as cancelled: those of them that sleep or wait for resources
    /// find out.
    virtual void wake_cancelled() noexcept = 0;

protected:
    TaskLife() = default;
    ~TaskLife() = default;
    TaskLife(const TaskLife&) = default;
    TaskLife& operator=(const TaskLife&) = default;
};

}  // namespace mobula::runtime
