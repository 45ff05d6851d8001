// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <mobula/detail/engine.hpp>

#include "base/ids.hpp"
#include "base/pool.hpp"
#include "graph/object.hpp"
#include "graph/scope.hpp"

namespace mobula::graph {

using detail::FunctionInfo;
using detail::Input;

/// What only some tasks have: kept apart so that the others do not pay for it.
struct TaskExtra : Pooled {
    TaskOptions options;
    bool own_priority = false;     ///< of a call: given with it, so it is not the actor's
    bool demands = false;          ///< more than the one worker that runs it
    bool holds = false;            ///< the demands are taken from the rank's resources
    int attempts = 0;              ///< that threw and were followed by another one
    bool lends = false;            ///< of those, its CPUs are with others while it waits
    std::uint64_t claim = 0;       ///< the name of what it holds or waits for; see the resources
    std::vector<unsigned> gpus;    ///< given while it runs
    void* stream = nullptr;        ///< the producer's side of its stream
    unsigned max_concurrency = 1;  ///< of the actor that it constructs

    /// Arguments that came from another rank, of which the values are still to be decoded: they
    /// begin at `packed_at` of its stream.
    std::unique_ptr<Encoded> packed;
    std::size_t packed_at = 0;

    // Of what holds resources of this rank or waits for them, so that lists can name it.
    detail::Task* holder = nullptr;                  ///< null: an actor that lives
    const detail::FunctionInfo* function = nullptr;  ///< the task's, or the actor's constructor
};

}  // namespace mobula::graph

namespace mobula::detail {

/// One call on its way: header, arguments and results. Owned by whoever has it at the moment: the
/// inputs it waits for, a queue, the worker that runs it, or the table of what other ranks run.
struct Task {
    enum class Phase : std::uint8_t {
        waiting,  ///< for inputs to exist, then for their bytes
        queued,   ///< in a queue of this rank
        sent,     ///< another rank has it
        running,
        over,  ///< cancelled before it ran; whoever has it frees it
    };

    Task* next = nullptr;
    const FunctionInfo* info = nullptr;
    graph::TaskExtra* extra = nullptr;
    graph::Scope* scope = nullptr;                 ///< of the task that submitted it
    std::atomic<graph::Scope*> children{nullptr};  ///< of those that it submits itself
    std::atomic<std::uint32_t> missing{0};
    std::atomic<Phase> phase{Phase::waiting};
    bool bound = false;    ///< must run on this rank
    bool foreign = false;  ///< another rank owns it; `where` is that rank
    std::atomic<bool> cancelled{false};
    bool placed = false;              ///< must run on the rank `where`; its only option
    bool here = false;                ///< for an actor of this rank, which has all that it needs
    bool near = false;                ///< it is bound just because its input bytes are there
    Rank where{};                     ///< who runs it while sent; whose it is if foreign
    std::uint32_t bytes = 0;          ///< of the whole block
    TaskKey key{};                    ///< in its owner's table, while sent or foreign
    std::uint32_t results_left = 0;   ///< that have not come back, while sent
    Cell* actor = nullptr;            ///< whose method or constructor it is; a reference
    graph::Object* result = nullptr;  ///< the first result's object on this rank
    void* instance = nullptr;  ///< on the actor's rank: the actor that it is for; before: its line

    /// Goes on to the next phase, unless it was cancelled.
    [[nodiscard]] bool advance(Phase to) noexcept {
        if (foreign) {  // its owner alone may call it over
            phase.store(to, std::memory_order_release);
            return true;
        }
        Phase seen = phase.load(std::memory_order_acquire);
        while (seen != Phase::over) {
            if (phase.compare_exchange_weak(seen, to, std::memory_order_acq_rel)) return true;
        }
        return false;
    }

    /// Where its arguments lie: behind this header, whose place in the block goes by that.
    [[nodiscard]] std::byte* arguments() noexcept {
        return reinterpret_cast<std::byte*>(this) + sizeof(Task);
    }
    /// The objects of results beyond the first lie behind the arguments.
    [[nodiscard]] graph::Object*& results(std::uint32_t number) noexcept {
        if (number == 0) return result;
        return reinterpret_cast<graph::Object**>(arguments() +
                                                 room(info->arguments_bytes))[number - 1];
    }
    [[nodiscard]] static constexpr std::size_t room(std::size_t arguments_bytes) noexcept {
        return (arguments_bytes + 15) / 16 * 16;
    }
};

static_assert(sizeof(Task) == 96,
              "a task of two numbers then has 192 bytes, which the pool has a class for");

}  // namespace mobula::detail

namespace mobula::graph {

/// A task with room for its arguments and pending objects for its results. Each object has
/// `references` references, one of which is the task's.
[[nodiscard]] Task* new_task(const FunctionInfo& info, std::uint32_t references);
/// The tasks of this process that were made and not freed, give or take some hundred. Thread-safe.
[[nodiscard]] std::size_t tasks_alive() noexcept;
[[nodiscard]] inline void* arguments(Task& task) noexcept { return task.arguments(); }
/// Frees the task and its share in its results; the arguments must be destroyed already.
void free_task(Task& task) noexcept;
/// Constructs the arguments from what came from another rank. Their values are decoded at once
/// where that is quick and runs no code of the user's, else by unpack(); the task keeps `encoded`
/// until then. Throws Error for what is no arguments of the function; they are not constructed
/// then.
void open_arguments(Task& task, std::unique_ptr<Encoded> encoded);
/// The same with a stream that is copied if it has to be kept.
void open_arguments(Task& task, std::span<const std::byte> stream);
/// Decodes the values that are still to be decoded: the user's code. Throws what that throws; the
/// task must not be run then.
void unpack(Task& task);
/// Whether an attempt to decode the arguments failed, or none was made yet.
[[nodiscard]] inline bool is_packed(const Task& task) noexcept {
    return task.extra != nullptr && task.extra->packed != nullptr;
}
/// Destroys the arguments and lets their objects go.
void destroy_arguments(Task& task) noexcept;
/// Both.
void drop(Task& task) noexcept;
/// Gives the task's share in its results up, before it is freed. Of a task of this rank's own.
void drop_results(Task& task) noexcept;
/// Frees a task that may still wait for its inputs; nobody else may touch it or them meanwhile.
void abandon(Task& task) noexcept;
[[nodiscard]] TaskExtra& extra_of(Task& task);
[[nodiscard]] std::string name_of(const Task& task);
[[nodiscard]] bool is_cancelled(const Task& task) noexcept;

/// What happens to a task that waits for its inputs: a part of the engine has one for each of its
/// reasons to wait, for as long as its tasks wait.
struct InputEvents : detail::WaiterEvents {
    using Ready = void (*)(Task& task, void* context) noexcept;  ///< all are there
    /// One is known to other ranks: ask for it.
    using Want = void (*)(Object& object, bool needs_value, void* context);

    InputEvents(Ready ready_function, Want want_function, void* both_get) noexcept;

    Ready ready;
    Want want;
    void* context;
};

/// Makes the task wait for those of its inputs that do not exist yet, or whose bytes are not here
/// yet. Returns true when there is none: the caller goes on with the task. Else `ready` is called,
/// by the thread that made the last of them.
[[nodiscard]] bool await_inputs(Task& task, bool needs_value, const InputEvents& events);
[[nodiscard]] bool has_inputs(Task& task) noexcept;
/// The failure of the first failed input, or null.
[[nodiscard]] FailurePtr failed_input(Task& task) noexcept;

}  // namespace mobula::graph
