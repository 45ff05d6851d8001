// SPDX-License-Identifier: Apache-2.0

/// The erased functions that the public templates call.

#include <cstdlib>
#include <deque>
#include <new>
#include <vector>

#include <mobula/detail/engine.hpp>
#include <mobula/error.hpp>
#include <mobula/group.hpp>
#include <mobula/job.hpp>
#include <mobula/object.hpp>

#include "base/check.hpp"
#include "base/driving.hpp"
#include "base/encoding.hpp"
#include "base/spinlock.hpp"
#include "runtime/engine.hpp"
#include "runtime/failures.hpp"

namespace mobula::detail {

using graph::Object;
using runtime::Engine;

namespace {

/// Blocks from here up lie in the arena, where other ranks can read them.
constexpr std::size_t arena_block_bytes = 4096;

struct ArenaHead : BufferHead {
    static void free_block(BufferHead* head) noexcept {
        if (Engine::running()) Engine::current().network.cluster().arena().deallocate(head->data);
        delete static_cast<ArenaHead*>(head);
    }
};

struct HeapHead : BufferHead {
    static void free_block(BufferHead* head) noexcept {
        std::free(head->data);
        delete static_cast<HeapHead*>(head);
    }
};

}  // namespace

Buffer allocate_buffer(std::size_t bytes) {
    if (bytes > arena_block_bytes && Engine::running()) {
        store::Arena& arena = Engine::current().network.cluster().arena();
        std::byte* const block = arena.allocate(bytes);
        if (block == nullptr) {
            throw StoreFull(
                "the object store of rank " + std::to_string(index(Engine::current().self())) +
                " has no room for " + std::to_string(bytes) + " bytes (" +
                std::to_string(arena.stats().bytes_used) + " of " + std::to_string(arena.bytes()) +
                " are in use; MOBULA_ARENA_BYTES sets how many there are)");
        }
        auto* head = new ArenaHead;
        head->data = block;
        head->bytes = bytes;
        head->dispose = &ArenaHead::free_block;
        return Buffer(head);
    }
    auto* head = new HeapHead;
    head->data = static_cast<std::byte*>(std::aligned_alloc(64, (bytes + 64) / 64 * 64));
    head->bytes = bytes;
    head->dispose = &HeapHead::free_block;
    if (head->data == nullptr) {
        delete head;
        throw std::bad_alloc();
    }
    return Buffer(head);
}

namespace {

/// Objects whose values hold the last reference to others free those too: so deep on the stack,
/// then one after another.
constexpr unsigned nested_frees_max = 64;

void free_while_driving(Object& object) noexcept {
    if (!runtime::ends_by_users_code(object)) return graph::free_object(&object);
    Engine::current().clerk.give([&object] { graph::free_object(&object); });
}

void free_object_of(Object& object) noexcept {
    if (object.shared != nullptr) {
        // Shared objects that outlive the engine go with the process.
        if (Engine::running()) Engine::current().exchange.dispose(object);
        return;
    }
    if (Driving::now()) return free_while_driving(object);
    graph::free_object(&object);
}

}  // namespace

void dispose_cell(Cell* cell) noexcept {
    thread_local constinit unsigned depth = 0;
    thread_local std::vector<Cell*> later;
    if (depth == nested_frees_max) {
        later.push_back(cell);
        return;
    }
    ++depth;
    free_object_of(Object::of(*cell));
    --depth;
    while (depth == 0 && !later.empty()) {
        Cell* const next = later.back();
        later.pop_back();
        dispose_cell(next);
    }
}

// ---- tasks ----

Task* new_task(const FunctionInfo& info) {
    Engine::current().pace();
    return graph::new_task(info, 2);
}

void* arguments_of(Task& task) noexcept { return graph::arguments(task); }

CellPtr result_cell(Task& task, std::uint32_t number) noexcept {
    return CellPtr(task.results(number));
}

void discard(Task& task) noexcept {
    for (std::uint32_t i = 0; i < task.info->results; ++i) static_cast<void>(result_cell(task, i));
    graph::free_task(task);
}

void submit(Task& task, const TaskOptions* options) { Engine::current().submit(task, options); }

void* result_place(Task& task, std::uint32_t number) {
    return graph::make_place(*task.results(number), *task.info->result_types[number]);
}

void finish_result(Task& task, std::uint32_t number) noexcept {
    Engine::current().finish_result(task, number);
}

bool keeps_arguments(const Task& task) noexcept {
    return task.extra != nullptr && task.extra->options.retry_exceptions;
}

/// A Ref that was only default-made.
void check_names(const Cell* cell, const char* where) {
    if (cell == nullptr)
        throw BadInput(std::string(where) + ": the Ref is default-made and names nothing");
}

void bind_input(Input& input, CellPtr cell) {
    check_names(cell.get(), "an argument");
    input.cell = cell.release();
}

void bind_inputs(std::span<Input> inputs, std::span<Cell* const> cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
        if (cells[i] != nullptr) continue;
        throw BadInput("an argument: of its " + std::to_string(cells.size()) +
                       " Refs the one at index " + std::to_string(i) +
                       " is default-made and names nothing");
    }
    for (std::size_t i = 0; i < cells.size(); ++i) {
        inputs[i].cell = CellPtr::share(*cells[i]).release();
    }
}

void unbind_input(Input& input) noexcept { CellPtr{input.cell}; }

// ---- objects ----

namespace {

/// With what is only said where a value is decoded and cannot be.
void* read_value(Object& object, const TypeInfo& type, const Task* task) {
    if (graph::state_of(object) == graph::State::ready && object.type == &type) {
        return object.content.value;
    }
    const auto rank = static_cast<std::uint32_t>(index(Engine::current().self()));
    return graph::value_of(object, type, {rank, task});
}

}  // namespace

void* cell_value(Cell& cell, const TypeInfo& type) {
    return read_value(Object::of(cell), type, nullptr);
}

void* input_value(const Input& input, const TypeInfo& type) {
    return read_value(Object::of(*input.cell), type, input.task);
}

const void* ready_value(const Cell& cell, const TypeInfo& type) noexcept {
    const Object& object = Object::of(cell);
    const bool here = graph::state_of(object) == graph::State::ready && object.type == &type;
    return here ? object.content.value : nullptr;
}

void note_moved_out(Cell& cell) {
    if (Object::of(cell).moved_out.exchange(true)) throw Error(graph::moved_out_words);
}

void refuse_moved_out(const Cell& cell) {
    if (Object::of(cell).moved_out.load()) throw Error(graph::moved_out_words);
}

bool sole_reference(const Cell& cell) noexcept { return graph::is_alone(Object::of(cell)); }

CellPtr new_object(const TypeInfo& type, void*& place) {
    static_cast<void>(Engine::current());
    Object* const object = graph::new_object(1);
    place = graph::make_place(*object, type);
    return CellPtr(object);
}

void finish_object(Cell& cell) noexcept { graph::complete(Object::of(cell)); }

bool is_done(const Cell& cell) noexcept {
    return graph::is_done(graph::state_of(Object::of(cell)));
}

std::size_t wait_for(std::span<Cell* const> cells, std::size_t count, Deadline deadline,
                     bool fetch) {
    for (const Cell* cell : cells) check_names(cell, "get or wait");
    Engine::current().waits.objects(cells, count, deadline, fetch);
    std::size_t done = 0;
    for (Cell* cell : cells) {
        const graph::State state = graph::state_of(Object::of(*cell));
        done += (fetch ? graph::is_here(state) : graph::is_done(state)) ? 1 : 0;
    }
    return done;
}

void wait_or_throw(std::span<Cell* const> cells, Deadline deadline) {
    if (wait_for(cells, cells.size(), deadline, true) < cells.size()) {
        throw Timeout("get: the object was not ready within the time limit");
    }
}

void cancel(Cell& cell, bool recursive) {
    if (!Engine::running()) return;
    Engine::current().cancel(Object::of(cell), recursive);
    Engine::current().wake_for_own_thread();
}

// ---- streams ----

void* item_place(Task& task, const TypeInfo& type) {
    return Engine::current().streams.place(task, type);
}
void finish_item(Task& task) { Engine::current().streams.finish(task); }
CellPtr next_item(Cell& stream, Deadline deadline) {
    return Engine::current().streams.next(Object::of(stream), deadline);
}

// ---- actors ----

CellPtr spawn(Task& constructor, const ActorOptions& options) {
    // The template takes no reference of its own to the constructor's result.
    CellPtr{constructor.result};
    CellPtr actor = Engine::current().actors.spawn(constructor, options);
    Engine::current().wake_for_own_thread();
    return actor;
}
void call(Cell* actor, Task& method, const CallOptions* options) {
    Engine& engine = Engine::current();
    if (actor == nullptr) {
        // Nobody can wait for its results, but a stream asks who makes it when it goes.
        engine.fail(method, runtime::failure_of_cancelled(method, engine.self()));
        throw BadInput("call: the handle is default-made and names no actor");
    }
    if (options != nullptr && options->priority) {
        graph::TaskExtra& extra = graph::extra_of(method);
        extra.options.priority = *options->priority;
        extra.own_priority = true;
    }
    engine.actors.call(Object::of(*actor), method);
    engine.wake_for_own_thread();
}
void kill(Cell* actor) {
    if (actor == nullptr) throw BadInput("kill: the handle is default-made and names no actor");
    Engine::current().actors.kill(Object::of(*actor));
    Engine::current().wake_for_own_thread();
}
bool actor_died(const Cell& result) noexcept {
    const Object& object = Object::of(result);
    if (graph::state_of(object) != graph::State::failed) return false;
    const graph::Failure& failure = *graph::failure_of(object);
    // A function is named where it got the failure of what it called.
    return failure.kind == graph::FailureKind::actor_died && failure.function.empty() &&
           failure.chain.empty();
}
CellPtr find_actor(std::string_view name) { return Engine::current().names.find(name); }

// ---- placement groups ----

std::uint64_t create_group(std::vector<Resources> bundles, bool spread, bool strict,
                           CellPtr& ready) {
    std::vector<scheduler::Amounts> amounts;
    for (Resources& bundle : bundles) {
        amounts.push_back(scheduler::Amounts::of_bundle(std::move(bundle)));
    }
    const Strategy strategy = spread ? (strict ? Strategy::strict_spread : Strategy::spread)
                                     : (strict ? Strategy::strict_pack : Strategy::pack);
    return Engine::current().resources.create_group(std::move(amounts), strategy, ready);
}
void remove_group(std::uint64_t group) noexcept {
    if (Engine::running()) Engine::current().resources.remove_group(group);
}
unsigned bundle_home(std::uint64_t group, unsigned bundle) {
    return Engine::current().resources.bundle_home({group, bundle});
}

// ---- the calling task's surroundings ----

namespace {
Surroundings kept{0, 1, 0, 1, 0, 1};
}  // namespace

void keep_surroundings() noexcept { kept = surroundings(); }

Surroundings surroundings() noexcept {
    if (!Engine::running()) return kept;
    Engine& engine = Engine::current();
    unsigned nodes = 0;
    for (const Node node : engine.network.cluster().nodes()) {
        nodes = std::max(nodes, static_cast<unsigned>(index(node)) + 1);
    }
    return {static_cast<unsigned>(index(engine.self())),
            static_cast<unsigned>(engine.network.ranks()),
            static_cast<unsigned>(index(engine.network.node_of(engine.self()))),
            nodes,
            worker::Team::worker_number(),
            engine.team.workers()};
}

std::vector<unsigned> task_gpus() {
    const worker::Frame* const frame = worker::Team::frame();
    if (frame == nullptr || frame->task == nullptr) return {};
    const graph::TaskExtra* const extra = frame->task->extra;
    if (frame->task->instance != nullptr && (extra == nullptr || !extra->holds)) {
        const std::vector<unsigned>* const held = runtime::Actors::gpus_of(*frame->task);
        return held != nullptr ? *held : std::vector<unsigned>{};
    }
    return extra != nullptr ? extra->gpus : std::vector<unsigned>{};
}

bool task_cancelled() noexcept {
    const worker::Frame* const frame = worker::Team::frame();
    return frame != nullptr && frame->task != nullptr && graph::is_cancelled(*frame->task);
}

void yield_worker() {
    Engine& engine = Engine::current();
    engine.waits.check_cancelled();
    if (Encoding::now()) return;
    engine.team.yield();
    engine.waits.check_cancelled();
}

}  // namespace mobula::detail

namespace mobula {

Statistics statistics() {
    runtime::Engine& engine = runtime::Engine::current();
    const runtime::Exchange::Sums sums = engine.exchange.sums();
    const transport::Counters counters = engine.network.transport().counters();
    return {engine.team.tasks_run(),
            engine.dispatcher.tasks_sent(),
            engine.dispatcher.tasks_received(),
            sums.values_mapped,
            sums.bytes_pulled,
            counters.bytes_received,
            counters.bytes_sent,
            counters.messages_received,
            counters.messages_sent,
            counters.messages_refused};
}

}  // namespace mobula
