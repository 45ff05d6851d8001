// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The erased engine under the public templates: all that include/mobula needs of src. Every
/// function is thread-safe and needs a running engine (between the start and the end of
/// mobula::run) unless it says otherwise.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mobula/detail/cell.hpp>
#include <mobula/detail/stream.hpp>
#include <mobula/detail/type_info.hpp>
#include <mobula/options.hpp>

namespace mobula::detail {

using Deadline = std::optional<std::chrono::steady_clock::time_point>;

/// One submitted call: the function, its arguments in place, its results' cells.
struct Task;

struct Waiter;

/// What waiters of one kind do.
struct WaiterEvents {
    void (*fire)(Waiter& waiter) noexcept;
};

/// Waits in an object's list; `fire` is called once, without a lock, by the thread that made it
/// done.
struct Waiter {
    Waiter* next = nullptr;
    const WaiterEvents* events = nullptr;
    bool needs_value = false;  ///< also wait until the bytes are on this rank
};

/// One argument that may be an object which does not exist yet. Lives inside the task's arguments.
struct Input : Waiter {
    bool many = false;     ///< none itself: the argument is many objects; see detail/gathered.hpp
    Task* task = nullptr;  ///< the task that waits
    Cell* cell = nullptr;  ///< holds a reference; null: the argument was given as a value, and
                           ///< `needs_value` says that the value is still to be decoded
};
static_assert(sizeof(Input) == 5 * sizeof(void*), "every argument of every task has one");

/// Calls a visitor for every input of a task that is an object.
using InputVisitor = void (*)(Input&, void* context);

/// A function as the engine knows it once its types are erased. One per function, for the whole
/// life of the process.
struct FunctionInfo {
    std::string (*name)();  ///< for people
    std::size_t arguments_bytes;
    std::uint32_t results;  ///< cells; 0 for an actor's end
    bool stream;            ///< the one result is a stream of items
    const TypeInfo* const* result_types;
    /// Runs with the arguments' objects all ready; constructs the results. Throws what the user's
    /// code throws. `self` is the actor, or null.
    void (*run)(Task& task, void* arguments, void* self);
    void (*visit)(void* arguments, InputVisitor visitor, void* context);
    /// Encodes the arguments; an object argument as its reference, or as its value where that is
    /// there, plain and small.
    void (*encode)(const void* arguments, Writer& writer);
    /// Constructs the arguments at `place`: objects are bound, values left out. Runs no code of the
    /// user's, so it may be called while the network is driven. Returns whether a value was left
    /// out.
    bool (*open)(Reader& reader, void* place);
    /// Decodes the values that open() left out, from where it has read to. After an exception the
    /// arguments can be destroyed, no more.
    void (*fill)(Reader& reader, void* place);
    void (*destroy)(void* arguments) noexcept;
    /// Of a constructor: the actor's type; else null.
    const struct ActorInfo* actor;
    bool repeatable = true;                ///< no argument has to be moved from
    std::size_t arguments_alignment = 16;  ///< at least
    bool quiet = false;                    ///< all parameters are; see is_quiet
    /// About how many bytes the values among the arguments have; null: a few.
    std::size_t (*weigh)(const void* arguments) noexcept = nullptr;
    /// Of a method: the type of the actors that it is called on; else null.
    const struct ActorInfo* method_of = nullptr;
    /// Whether a value among the arguments is of a type that is not quiet; null: perhaps.
    bool (*loud)(const void* arguments) noexcept = nullptr;
};

/// Adds the function to the table that all ranks compare when they meet, under a name that is the
/// same in every process of one build. Called before main.
void register_function(const FunctionInfo& info, const char* identity);

struct ActorInfo {
    std::size_t size, alignment;
    void (*destroy)(void*) noexcept;
};

// ---- tasks ----

/// A task with room for its arguments, not yet constructed, and `results` fresh cells.
[[nodiscard]] Task* new_task(const FunctionInfo& info);
[[nodiscard]] void* arguments_of(Task& task) noexcept;
/// The result's cell with a reference for the caller.
[[nodiscard]] CellPtr result_cell(Task& task, std::uint32_t number) noexcept;
/// Frees a task after the constructor of an argument threw.
void discard(Task& task) noexcept;
/// Takes the task over. Throws Infeasible or Cancelled, and frees it then.
void submit(Task& task, const TaskOptions* options);
/// Room for result `number`, to construct it in; `finish_result` makes it ready.
[[nodiscard]] void* result_place(Task& task, std::uint32_t number);
void finish_result(Task& task, std::uint32_t number) noexcept;
/// Whether the task may be run again, so that its arguments must not be moved from.
[[nodiscard]] bool keeps_arguments(const Task& task) noexcept;

/// Makes the input wait for the object, or notes that it is there. Called while arguments are
/// constructed. Throws BadInput for a Ref that names nothing.
void bind_input(Input& input, CellPtr cell);
/// The same of as many inputs as cells; all are bound, or none.
void bind_inputs(std::span<Input> inputs, std::span<Cell* const> cells);
void unbind_input(Input& input) noexcept;

// ---- objects ----

/// The object's value once it is ready; decodes it when it came encoded. Throws the object's
/// failure.
[[nodiscard]] void* cell_value(Cell& cell, const TypeInfo& type);
/// The same of an argument of a task that runs.
[[nodiscard]] void* input_value(const Input& input, const TypeInfo& type);
/// The object's value if it lies here already, as a value of that type; else null. It stays as long
/// as the object.
[[nodiscard]] const void* ready_value(const Cell& cell, const TypeInfo& type) noexcept;
/// To be called before the value of a type that cannot be copied is moved out; throws Error the
/// second time.
void note_moved_out(Cell& cell);
/// To be called before such a value is read where it lies; throws Error when it was moved out.
void refuse_moved_out(const Cell& cell);
/// Whether this rank holds no other reference to the object than one, so that its value may be
/// moved out.
[[nodiscard]] bool sole_reference(const Cell& cell) noexcept;
/// A new object of this rank with room for its value at `place`; make it ready with
/// `finish_object`.
[[nodiscard]] CellPtr new_object(const TypeInfo& type, void*& place);
void finish_object(Cell& cell) noexcept;
/// Ready or failed.
[[nodiscard]] bool is_done(const Cell& cell) noexcept;
/// Waits until `count` of the objects are done or the deadline passed; returns how many are. With
/// `fetch`, their bytes are brought here too. Suspends the calling task, never its worker.
std::size_t wait_for(std::span<Cell* const> cells, std::size_t count, Deadline deadline,
                     bool fetch);
void cancel(Cell& cell, bool recursive);

/// Objects in the order in which they become ready; holds a reference to each until then. One task
/// or thread at a time.
class ArrivalQueue;
[[nodiscard]] ArrivalQueue* new_arrivals(std::span<Cell* const> cells);
/// One more, under a number that no other one has: the lowest new one, or that of one that was
/// given.
[[nodiscard]] std::size_t add_arrival(ArrivalQueue& queue, Cell& cell);
/// The next one's position in the span, or number; empty when all were given or the deadline
/// passed.
[[nodiscard]] std::optional<std::size_t> next_arrival(ArrivalQueue& queue, Deadline deadline);
void drop_arrivals(ArrivalQueue* queue) noexcept;
/// The position of one of many that is done; empty when the deadline passed before there was one.
/// Remembers for the calling task that it waits for them: to be called again with what is left of
/// them costs little more than a comparison of addresses.
[[nodiscard]] std::optional<std::size_t> wait_for_any(std::span<Cell* const> cells,
                                                      Deadline deadline);

// ---- streams ----

/// Room for the next item of a running stream task. Suspends the task while the consumer is
/// `stream_window` items behind. Throws Cancelled when the consumer is gone.
[[nodiscard]] void* item_place(Task& task, const TypeInfo& type);
void finish_item(Task& task);
/// The stream's next item, or null at its end; waits for it. Throws the task's failure.
[[nodiscard]] CellPtr next_item(Cell& stream, Deadline deadline);

// ---- actors ----

/// Places the actor and submits its constructor. The returned cell stands for the actor: it is
/// done when the constructor is, and the actor ends when the last reference of all ranks goes.
[[nodiscard]] CellPtr spawn(Task& constructor, const ActorOptions& options);
/// Submits a method call. Calls of one caller take effect in their order. Throws BadInput, and
/// frees the task, for no actor.
void call(Cell* actor, Task& method, const CallOptions* options);
void kill(Cell* actor);
/// Whether a call's result failed because its actor is dead; not one that another actor's death
/// was passed on to.
[[nodiscard]] bool actor_died(const Cell& result) noexcept;
/// The actor of that name, or null; asks rank 0.
[[nodiscard]] CellPtr find_actor(std::string_view name);

// ---- placement groups ----

[[nodiscard]] std::uint64_t create_group(std::vector<Resources> bundles, bool spread, bool strict,
                                         CellPtr& ready);
void remove_group(std::uint64_t group) noexcept;
/// The rank of a bundle of a group that this rank made; 0 when there is no such bundle.
[[nodiscard]] unsigned bundle_home(std::uint64_t group, unsigned bundle);

// ---- the calling task's surroundings ----

struct Surroundings {
    unsigned rank, ranks, node, nodes, worker, workers;
};
[[nodiscard]] Surroundings surroundings() noexcept;
/// Of the job that ends, for what main() does after it.
void keep_surroundings() noexcept;
[[nodiscard]] std::vector<unsigned> task_gpus();
[[nodiscard]] bool task_cancelled() noexcept;
/// Gives the worker to others that are ready; throws Cancelled when this task was cancelled.
void yield_worker();

}  // namespace mobula::detail
