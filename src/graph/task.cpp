// SPDX-License-Identifier: Apache-2.0
#include "graph/task.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include <mobula/detail/stream.hpp>

#include "base/pool.hpp"

namespace mobula::graph {
namespace {

static_assert(sizeof(Task) + sizeof(Object) <= 256,
              "a pending task with its result costs at most 256 bytes beyond its arguments");

/// Threads count for themselves and tell the others now and then: a shared counter would be the
/// one cache line that all workers fight for.
constexpr std::int64_t untold_max = 64;
std::atomic<std::int64_t> told{0};
thread_local constinit std::int64_t untold = 0;

void count(std::int64_t tasks) noexcept {
    untold += tasks;
    if (untold < untold_max && untold > -untold_max) return;
    told.fetch_add(std::exchange(untold, 0), std::memory_order_relaxed);
}

/// The block of a task whose arguments ask for more alignment than the pools give.
struct AlignedBlock {
    std::size_t alignment;
    std::size_t before;  ///< bytes before the header, so that the arguments are aligned

    explicit AlignedBlock(const FunctionInfo& info)
        : alignment(info.arguments_alignment),
          before((sizeof(Task) + alignment - 1) / alignment * alignment - sizeof(Task)) {}

    void* allocate(std::size_t bytes) const {
        return static_cast<std::byte*>(
                   ::operator new(before + bytes, std::align_val_t{alignment})) +
               before;
    }
    void free(Task* task) const noexcept {
        ::operator delete(reinterpret_cast<std::byte*>(task) - before, std::align_val_t{alignment});
    }
};

bool is_pooled(const FunctionInfo& info) noexcept { return info.arguments_alignment <= 16; }

}  // namespace

std::size_t tasks_alive() noexcept {
    return static_cast<std::size_t>(
        std::max<std::int64_t>(told.load(std::memory_order_relaxed), 0));
}

Task* new_task(const FunctionInfo& info, std::uint32_t references) {
    count(1);
    const std::size_t more = info.results > 1 ? (info.results - 1) * sizeof(Object*) : 0;
    const std::size_t bytes = sizeof(Task) + Task::room(info.arguments_bytes) + more;
    void* const block = is_pooled(info) ? pool_allocate(bytes) : AlignedBlock(info).allocate(bytes);
    auto* task = new (block) Task;
    task->info = &info;
    task->bytes = static_cast<std::uint32_t>(bytes);
    for (std::uint32_t i = 0; i < info.results; ++i) {
        Object* object = new_object(references);
        object->type = info.result_types[i];
        object->producer = task;
        task->results(i) = object;
    }
    return task;
}

namespace {

/// Values are decoded as they arrive up to here; to decode more takes as long as a task may.
constexpr std::size_t decoded_at_once_max = std::size_t{64} << 10U;

/// Opens the arguments; false when their values wait for unpack(), whose part of the stream begins
/// at `at`.
bool open(Task& task, const Encoded* encoded, std::span<const std::byte> stream, std::size_t& at) {
    detail::Reader reader = encoded == nullptr
                                ? detail::Reader(stream, {}, {})
                                : detail::Reader(stream, encoded->attachments, encoded->references);
    const bool complete = !task.info->open(reader, arguments(task));
    at = stream.size() - reader.left();
    if (complete) return true;
    if (!task.info->quiet || stream.size() > decoded_at_once_max) return false;
    try {
        task.info->fill(reader, arguments(task));
    } catch (...) {
        destroy_arguments(task);
        throw;
    }
    return true;
}

void pack(Task& task, std::unique_ptr<Encoded> encoded, std::size_t at) {
    TaskExtra& extra = extra_of(task);
    extra.packed = std::move(encoded);
    extra.packed_at = at;
}

}  // namespace

void open_arguments(Task& task, std::unique_ptr<Encoded> encoded) {
    std::size_t at = 0;
    if (!open(task, encoded.get(), encoded->bytes(), at)) pack(task, std::move(encoded), at);
}

void open_arguments(Task& task, std::span<const std::byte> stream) {
    std::size_t at = 0;
    if (open(task, nullptr, stream, at)) return;
    auto encoded = std::make_unique<Encoded>();
    encoded->stream.assign(stream.begin() + static_cast<std::ptrdiff_t>(at), stream.end());
    pack(task, std::move(encoded), 0);
}

void unpack(Task& task) {
    TaskExtra& extra = *task.extra;
    detail::Reader reader(extra.packed->bytes().subspan(extra.packed_at), extra.packed->attachments,
                          extra.packed->references);
    task.info->fill(reader, arguments(task));
    extra.packed.reset();
}

void destroy_arguments(Task& task) noexcept { task.info->destroy(arguments(task)); }

void free_task(Task& task) noexcept {
    for (std::uint32_t i = 0; i < task.info->results; ++i) {
        Object* const object = task.results(i);
        if (task.foreign && is_alone(*object)) {
            free_object(object);  // the usual case: its value has gone to the task's owner
        } else {
            CellPtr{object};
        }
    }
    CellPtr{task.actor};
    Scope::release(task.scope);
    if (Scope* const children = task.children.load(std::memory_order_relaxed)) {
        children->end();
        Scope::release(children);
    }
    delete task.extra;
    const std::size_t bytes = task.bytes;
    const FunctionInfo& info = *task.info;
    task.~Task();
    if (is_pooled(info)) {
        pool_free(&task, bytes);
    } else {
        AlignedBlock(info).free(&task);
    }
    count(-1);
}

void drop(Task& task) noexcept {
    destroy_arguments(task);
    free_task(task);
}

void drop_results(Task& task) noexcept {
    for (std::uint32_t i = 0; i < task.info->results; ++i) {
        CellPtr{std::exchange(task.results(i), nullptr)};
    }
}

void abandon(Task& task) noexcept {
    task.info->visit(
        arguments(task),
        [](Input& input, void*) {
            static_cast<void>(remove_waiter(Object::of(*input.cell), input));
        },
        nullptr);
    drop(task);
}

TaskExtra& extra_of(Task& task) {
    if (task.extra == nullptr) task.extra = new TaskExtra;
    return *task.extra;
}

std::string name_of(const Task& task) {
    if (task.extra != nullptr && !task.extra->options.name.empty()) {
        return task.extra->options.name;
    }
    return task.info->name();
}

bool is_cancelled(const Task& task) noexcept {
    return task.cancelled.load(std::memory_order_acquire) ||
           (task.scope != nullptr && task.scope->cancelled());
}

namespace {

/// Whether the input that has come was the last.
bool arrived(Task& task) noexcept {
    return task.missing.fetch_sub(1, std::memory_order_acq_rel) == 1;
}

void input_fired(detail::Waiter& waiter) noexcept {
    Task& task = *static_cast<Input&>(waiter).task;
    const auto& events = static_cast<const InputEvents&>(*waiter.events);
    if (arrived(task)) events.ready(task, events.context);
}

struct Awaiting {
    Task* task;
    bool needs_value;
    const InputEvents* events;
    bool any;
};

}  // namespace

InputEvents::InputEvents(Ready ready_function, Want want_function, void* both_get) noexcept
    : WaiterEvents{&input_fired}, ready(ready_function), want(want_function), context(both_get) {}

bool await_inputs(Task& task, bool needs_value, const InputEvents& events) {
    // One more than there are inputs, so that none of them can be the last while this goes on.
    task.missing.store(1, std::memory_order_relaxed);
    Awaiting awaiting{&task, needs_value, &events, false};
    task.info->visit(
        arguments(task),
        [](Input& input, void* context) {
            Awaiting& wait = *static_cast<Awaiting*>(context);
            wait.any = true;
            input.task = wait.task;
            input.events = wait.events;
            input.needs_value = wait.needs_value;
            wait.task->missing.fetch_add(1, std::memory_order_relaxed);
            Object& object = Object::of(*input.cell);
            if (!add_waiter(object, input)) {
                wait.task->missing.fetch_sub(1, std::memory_order_relaxed);
            } else if (object.shared != nullptr) {
                wait.events->want(object, wait.needs_value, wait.events->context);
            }
        },
        &awaiting);
    return !awaiting.any || arrived(task);
}

bool has_inputs(Task& task) noexcept {
    bool any = false;
    task.info->visit(
        arguments(task), [](Input&, void* found) { *static_cast<bool*>(found) = true; }, &any);
    return any;
}

FailurePtr failed_input(Task& task) noexcept {
    FailurePtr failure;
    task.info->visit(
        arguments(task),
        [](Input& input, void* context) {
            auto& found = *static_cast<FailurePtr*>(context);
            const Object& object = Object::of(*input.cell);
            if (!found && state_of(object) == State::failed) found = failure_of(object);
        },
        &failure);
    return failure;
}

}  // namespace mobula::graph
