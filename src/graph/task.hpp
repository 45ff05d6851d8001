// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <mobula/detail/engine.hpp>

#include "base/ids.hpp"
#include "graph/object.hpp"
#include "graph/scope.hpp"

namespace mobula::graph {

using detail::FunctionInfo;
using detail::Input;

struct ActorInstance;  // worker side of an actor, see runtime/actors.hpp
struct StreamState;    // producer side of a stream, see runtime/streams.hpp

/// What only some tasks have: kept apart so that the others do not pay for it.
struct TaskExtra {
    TaskOptions options;
    ActorInstance* actor = nullptr;        ///< whose method or constructor it is, on its rank
    ObjectId actor_id{};                   ///< the same for everyone
    detail::CellPtr actor_cell;            ///< keeps the actor until the call is over
    StreamState* stream = nullptr;
    std::vector<ObjectId> more_homes;      ///< of results beyond the first, for another owner
    std::vector<unsigned> gpus;            ///< given while it runs
    bool holds_resources = false;
};

}  // namespace mobula::graph

namespace mobula::detail {

/// One call on its way: header, arguments and results. Owned by whoever has it at the moment: the
/// inputs it waits for, a queue, the worker that runs it, or the table of what other ranks run.
struct Task {
    enum class Phase : std::uint8_t {
        binding,   ///< inputs are being looked at
        waiting,   ///< for inputs to exist, then for their bytes
        queued,    ///< in a queue of this rank
        sent,      ///< another rank has it
        running,
        over,
    };

    Task* next = nullptr;
    const FunctionInfo* info = nullptr;
    graph::TaskExtra* extra = nullptr;
    graph::Scope* scope = nullptr;         ///< of the task that submitted it
    std::atomic<std::uint32_t> missing{0};
    std::atomic<Phase> phase{Phase::binding};
    bool placed = false;                   ///< its rank is chosen
    std::atomic<bool> cancelled{false};
    std::uint8_t attempt = 0;
    Rank where{};                          ///< who runs it, while sent
    std::uint32_t bytes = 0;               ///< of the whole block
    ObjectId home{};                       ///< of the first result, when another rank owns it
    bool foreign = false;                  ///< `home` counts
    graph::Object* result = nullptr;       ///< the first result's object on this rank
    graph::Object** more_results = nullptr;

    [[nodiscard]] graph::Object*& results(std::uint32_t number) noexcept {
        return number == 0 ? result : more_results[number - 1];
    }
};

}  // namespace mobula::detail

namespace mobula::graph {

/// A task with room for its arguments and pending objects for its results. Each object has
/// `references` references, one of which is the task's.
[[nodiscard]] Task* new_task(const FunctionInfo& info, std::uint32_t references);
[[nodiscard]] void* arguments(Task& task) noexcept;
/// Frees the task and its share in its results; the arguments must be destroyed already.
void free_task(Task& task) noexcept;
/// Destroys the arguments and lets their objects go.
void destroy_arguments(Task& task) noexcept;
[[nodiscard]] TaskExtra& extra_of(Task& task);
[[nodiscard]] std::string name_of(const Task& task);
[[nodiscard]] bool is_cancelled(const Task& task) noexcept;

/// Makes the task wait for those of its inputs that do not exist yet, or whose bytes are not here
/// yet. Returns true when there is none: the caller goes on with the task. Else `fire` is called
/// once for each, and the last of them (missing becomes 0) goes on.
[[nodiscard]] bool await_inputs(Task& task, bool needs_value,
                                void (*fire)(detail::Waiter&) noexcept);
/// Whether the input that fired was the last.
[[nodiscard]] inline bool arrived(Task& task) noexcept {
    return task.missing.fetch_sub(1, std::memory_order_acq_rel) == 1;
}
/// The failure of the first failed input, or null.
[[nodiscard]] FailurePtr failed_input(Task& task) noexcept;

}  // namespace mobula::graph
