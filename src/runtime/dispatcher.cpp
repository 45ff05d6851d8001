// SPDX-License-Identifier: Apache-2.0
#include "runtime/dispatcher.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "base/encoding.hpp"
#include "base/log.hpp"
#include "base/scratch.hpp"
#include "base/tsc.hpp"
#include "runtime/failures.hpp"
#include "runtime/frame.hpp"
#include "runtime/task_record.hpp"

namespace mobula::runtime {

using graph::State;
using wire::RecordReader;
using wire::RecordWriter;
using wire::ResultForm;

static std::uint64_t in_nanoseconds(Duration duration) {
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(duration).count());
}

Dispatcher::Dispatcher(const Parts& parts, const Settings& settings,
                       scheduler::Loads::WorkersOf workers_of)
    : life_(parts.life),
      network_(parts.network),
      team_(parts.team),
      exchange_(parts.exchange),
      resources_(parts.resources),
      functions_(parts.functions),
      clerk_(parts.clerk),
      settings_(settings),
      repeated_(settings.large_value_bytes),
      slots_(1),  // slot 0 is the end of the free list
      loads_(network_.self(), static_cast<std::uint32_t>(network_.ranks()), std::move(workers_of),
             in_nanoseconds(settings.window), in_nanoseconds(settings.look_period)) {}

// ---- the table of sent tasks ----

/// In place, since each task on its way asks twice.
[[gnu::always_inline]] static inline scheduler::Loads::Bound how_bound(const Task& task) noexcept {
    if (task.near) return scheduler::Loads::Bound::near;
    const graph::TaskExtra* const extra = task.extra;
    const bool bound = task.bound || task.placed ||
                       (extra != nullptr && (extra->demands || extra->options.placement.kind !=
                                                                   Placement::Kind::automatic));
    return bound ? scheduler::Loads::Bound::yes : scheduler::Loads::Bound::no;
}

scheduler::Loads::Bound Dispatcher::bound_of(const Task& task) noexcept { return how_bound(task); }

/// The task is about to go to the rank `where`.
void Dispatcher::enter(Task& task) {
    std::lock_guard guard(lock_);
    std::uint32_t number = free_slot_;
    if (number == 0) {
        number = static_cast<std::uint32_t>(slots_.size());
        slots_.emplace_back();
    } else {
        free_slot_ = slots_[number].next_free;
    }
    slots_[number].task = &task;
    task.key = {number, ++slots_[number].generation};
    tasks_sent_.add(1);
    if (task.actor != nullptr) return;
    const scheduler::Loads::Bound bound = how_bound(task);
    loads_.sent(task.where, bound);
    if (!brisk_ && bound != scheduler::Loads::Bound::yes) watch();
}

[[gnu::always_inline]] inline void Dispatcher::free_slot(TaskKey key) {
    slots_[key.slot].task = nullptr;
    slots_[key.slot].next_free = free_slot_;
    free_slot_ = key.slot;
}

/// It did not go after all, or came back without having run.
void Dispatcher::forget(const Task& task) {
    std::lock_guard guard(lock_);
    free_slot(task.key);
    if (task.actor == nullptr) loads_.returned(task.where, how_bound(task));
}

[[gnu::always_inline]] inline Task* Dispatcher::lookup(TaskKey key, Rank where) const {
    if (key.slot >= slots_.size() || slots_[key.slot].generation != key.generation) return nullptr;
    Task* const task = slots_[key.slot].task;
    // One that the clerk has is in the table and has not gone yet.
    const bool there = task != nullptr && task->where == where &&
                       task->phase.load(std::memory_order_relaxed) == Task::Phase::sent;
    return there ? task : nullptr;
}

Task* Dispatcher::find_sent(TaskKey key, Rank where) {
    std::lock_guard guard(lock_);
    return lookup(key, where);
}

Dispatcher::Back Dispatcher::take_back(const wire::ResultHead& head, Rank from) {
    std::lock_guard guard(lock_);
    Task* const task = lookup(head.key, from);
    if (task == nullptr) return {};
    // Results come in the order of their tasks, whose slots mostly lie side by side, up or down:
    // fetch the next one's memory, for it has long been out of the caches.
    const std::uint32_t next = 2 * head.key.slot - std::exchange(last_back_, head.key.slot);
    if (next < slots_.size()) __builtin_prefetch(slots_[next].task, 1);
    if (head.form != ResultForm::failed && --task->results_left != 0) return {task};
    free_slot(head.key);
    if (task->actor != nullptr) return {task, true, false};
    const bool more = head.form == ResultForm::failed
                          ? loads_.failed(from, how_bound(*task))
                          : loads_.done(from, head.run_ns, how_bound(*task));
    return {task, true, more};
}

void Dispatcher::drain() noexcept {
    drained_ = true;
    for (Slot& slot : std::exchange(slots_, {})) {
        if (slot.task == nullptr) continue;
        graph::drop(*slot.task);
    }
}

// ---- choosing a rank ----

void Dispatcher::place(Task& task) {
    if (task.placed) {
        if (task.where != network_.self()) return send(task, task.where);
        task.bound = true;
        return life_.run_here(task);
    }
    const TaskOptions* const options = task.extra != nullptr ? &task.extra->options : nullptr;
    if (options != nullptr &&
        (task.extra->demands || options->placement.kind != Placement::Kind::automatic)) {
        Rank to{};
        try {
            to = resources_.choose(*options, task.extra->demands);
        } catch (...) {  // its bundle has gone while it waited for its inputs
            return life_.fail(task, failure_of_caught(task, network_.self()));
        }
        if (to == network_.self()) {
            task.bound = true;
            return life_.run_here(task);
        }
        return send(task, to);
    }

    if (!place_near(task)) place_by_load(task);
}

/// Where most of the input bytes are, if they are many.
bool Dispatcher::place_near(Task& task) {
    struct Bytes {
        Exchange& exchange;
        bool for_clerk;
        std::vector<std::pair<Rank, std::size_t>> ranks;
    } bytes{exchange_, false, {}};
    task.info->visit(
        graph::arguments(task),
        [](detail::Input& input, void* context) {
            auto& found = *static_cast<Bytes*>(context);
            if (weighs_by_users_code(Object::of(*input.cell)) && Driving::now()) {
                found.for_clerk = true;
                return;
            }
            const std::pair<Rank, std::size_t> place =
                found.exchange.place_of(Object::of(*input.cell));
            if (place.second == 0) return;
            const auto at =
                std::find_if(found.ranks.begin(), found.ranks.end(),
                             [&](const auto& entry) { return entry.first == place.first; });
            if (at != found.ranks.end()) {
                at->second += place.second;
            } else {
                found.ranks.push_back(place);
            }
        },
        &bytes);
    if (bytes.for_clerk) {
        clerk_.give([this, &task] { place(task); });
        return true;
    }
    if (bytes.ranks.empty()) return false;
    const auto most =
        std::max_element(bytes.ranks.begin(), bytes.ranks.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    if (most->second < settings_.locality_bytes) return false;
    // Nor is it soon taken back from there: its bytes would have to come along.
    task.bound = true;
    task.near = true;
    if (most->first != network_.self()) {
        send(task, most->first);
    } else {
        life_.run_here(task);
    }
    return true;
}

// ---- sending ----

namespace {

/// Whether a reference to the object would have it encoded by code of the user's.
bool goes_along_by_users_code(const Object& object) noexcept {
    return graph::state_of(object) == State::ready && !object.type->quiet &&
           (object.type->users_weight || goes_along(object));
}

}  // namespace

bool Dispatcher::goes_by_users_code(Task& task) {
    if (holds_users_values(task)) return true;
    bool any = false;
    task.info->visit(
        graph::arguments(task),
        [](detail::Input& input, void* found) {
            if (goes_along_by_users_code(Object::of(*input.cell)))
                *static_cast<bool*>(found) = true;
        },
        &any);
    return any;
}

/// Large arguments that go out; warns of what would have gone once as an object.
void Dispatcher::look_for_repeats(const Task& task, detail::Writer& arguments) {
    const bool blocks_travel = network_.transport().verb(task.where) != transport::Verb::map;
    const std::size_t bytes = RepeatedValues::bytes_sent(arguments, blocks_travel);
    if (!repeated_.large(bytes)) return;
    if (!repeated_.note(functions_.index_of(*task.info), bytes, arguments)) return;
    log::warning(RepeatedValues::warning(task.info->name(), bytes));
}

/// An actor's constructor or call names the actor in front.
void Dispatcher::begin_task(const Task& task, const wire::TaskHead& head, RecordWriter& record) {
    if (task.actor == nullptr) return wire::begin(wire::RunTask{head}, record);
    const ObjectId actor = exchange_.actor_of(Object::of(*task.actor)).first;
    if (task.info->actor != nullptr) return wire::begin(wire::Spawn{actor, head}, record);
    wire::begin(wire::Call{actor, head}, record);
}

/// Head, options, arguments. A task that came back and goes again is no repetition of the user's.
void Dispatcher::write_task(Task& task, RecordWriter& record, bool first_time) {
    const bool call = task.actor != nullptr || task.info->actor != nullptr;
    const bool options = task.extra != nullptr && !only_placed(task);
    const Scratch<detail::Writer> scratch;
    detail::Writer& arguments = *scratch;
    {
        const Encoding encoding;
        task.info->encode(graph::arguments(task), arguments);
    }
    const bool plain = arguments.attachments().empty() && arguments.references().empty() &&
                       arguments.stream().size() <= settings_.inline_bytes;
    wire::TaskHead head{functions_.index_of(*task.info), 0, task.key};
    if (options) head.flags |= wire::has_options;
    if (plain) head.flags |= wire::plain_arguments;
    const bool must = task.bound || task.placed || (task.extra != nullptr && !options);
    if (must && !call) head.flags |= wire::bound;
    if (task.near) head.flags |= wire::near_bytes;
    begin_task(task, head, record);
    if (options) write_extra(*task.extra, record);
    if (plain) {
        record.bytes(arguments.stream().data(), arguments.stream().size());
    } else {
        if (first_time) look_for_repeats(task, arguments);
        exchange_.put_encoded(*exchange_.seal(arguments), task.where, record);
    }
}

void Dispatcher::send(Task& task, Rank to) {
    if (drained_) [[unlikely]]  // the destructor of an actor submits it, at the job's end
        return life_.fail(task, failure_of_cancelled(task, network_.self()));
    task.where = to;
    task.results_left = task.info->results;
    const bool first_time = task.key.generation == 0;
    enter(task);  // it counts for its rank from now on
    if (is_for_clerk(task)) [[unlikely]]
        return send_by_clerk(task, first_time);
    hand_over(task, first_time);
}

void Dispatcher::send_by_clerk(Task& task, bool first_time) {
    clerk_.give([this, &task, first_time] { hand_over(task, first_time); });
}

/// Encodes and sends it, unless it was cancelled.
void Dispatcher::hand_over(Task& task, bool first_time) {
    const Rank to = task.where;
    const TaskKey key = task.key;
    const std::uint64_t cancels = cancels_.load();
    if (!task.advance(Task::Phase::sent)) {
        forget(task);
        // The canceller may still read the task while it holds a result's lock.
        for (std::uint32_t i = 0; i < task.info->results; ++i) {
            std::lock_guard wait(task.results(i)->lock);
        }
        return life_.retire(task);
    }
    if (graph::is_cancelled(task)) {
        forget(task);
        return life_.fail_unsent(task, to, failure_of_cancelled(task, network_.self()));
    }
    RecordWriter record;
    try {
        write_task(task, record, first_time);
    } catch (...) {
        // An argument that cannot be encoded fails the task, not the job.
        const FailurePtr failure =
            failure_of_caught(task, network_.self(), graph::Doing::encoding_argument);
        forget(task);
        return life_.fail_unsent(task, to, failure);
    }
    network_.send(to, record);
    // From here on the task may be gone. A canceller that found it sent may have told the rank
    // before the task itself went there.
    if (cancels_.load() != cancels) repeat_cancel(to, key);
}

void Dispatcher::repeat_cancel(Rank to, TaskKey key) {
    {
        std::lock_guard guard(lock_);
        const Task* const task = lookup(key, to);
        if (task == nullptr || !graph::is_cancelled(*task)) return;
    }
    cancel(to, key, true);
}

bool Dispatcher::backlogged() const noexcept { return network_.transport().backlogged(); }

// ---- results ----

/// Of the calling task.
static std::uint32_t run_time() noexcept {
    const worker::Frame* const frame = worker::Team::frame();
    if (frame == nullptr) return 1;
    const std::uint64_t ticks = ticks_now() - frame->started;
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(ticks * 1000 / ticks_per_microsecond(), 4000000000U));
}

void Dispatcher::give_result(Task& task, std::uint32_t number) noexcept {
    Object& object = *task.results(number);
    const detail::TypeInfo& type = *object.type;
    wire::Result result{{task.key, run_time(), static_cast<std::uint16_t>(number)}};
    if (type.plain && type.size <= settings_.inline_bytes) {
        wire::Written record(result);
        record.bytes(object.content.value, type.size);
        graph::complete_alone(object);
        return network_.send(task.where, record);
    }
    graph::complete(object);
    try {
        const Scratch<detail::Writer> scratch;
        detail::Writer& writer = *scratch;
        {
            const Encoding encoding;
            type.encode(object.content.value, writer);
        }
        if (exchange_.fits_inline(writer)) {
            result.head.form = ResultForm::encoded;
            wire::Written record(result);
            exchange_.put_encoded(*exchange_.seal(writer), task.where, record);
            network_.send(task.where, record);
        } else {
            result.head.form = ResultForm::located;
            result.copy.bytes = type.weight(object.content.value);
            result.copy.serial = exchange_.keep_copy(object, exchange_.seal(writer));
            network_.send(task.where, result);
        }
    } catch (...) {
        give_failure(task,
                     *failure_of_caught(task, network_.self(), graph::Doing::encoding_result));
    }
}

void Dispatcher::give_failure(Task& task, const graph::Failure& failure) noexcept {
    wire::Written record(wire::Result{{task.key, run_time(), 0, ResultForm::failed}});
    detail::Writer writer;
    failure.encode(writer);
    record.bytes(writer.stream().data(), writer.stream().size());
    network_.send(task.where, record);
}

// ---- cancelling ----

void Dispatcher::cancel_begins() noexcept { cancels_.fetch_add(1); }

void Dispatcher::cancel(Rank where, TaskKey key, bool recursive) {
    network_.send(where, wire::Cancel{key, recursive});
}

void Dispatcher::cancel_children() {
    std::vector<std::pair<Rank, TaskKey>> asked;
    cancel_begins();
    {
        std::lock_guard guard(lock_);
        for (const Slot& slot : slots_) {
            if (slot.task == nullptr || slot.task->scope == nullptr) continue;
            if (slot.task->scope->cancelled()) asked.emplace_back(slot.task->where, slot.task->key);
        }
    }
    for (const auto& [where, key] : asked) cancel(where, key, true);
}

std::string Dispatcher::describe_sent(Rank where) const {
    std::string first;
    std::size_t others = 0;
    std::lock_guard guard(lock_);
    for (const Slot& slot : slots_) {
        if (slot.task == nullptr || slot.task->where != where) continue;
        if (!first.empty()) {
            ++others;
        } else {
            first = graph::name_of(*slot.task) + "(...)";
        }
    }
    if (others == 0) return first;
    return first + " and " + std::to_string(others) + " more";
}

void Dispatcher::foreign_started(Task& task) {
    std::lock_guard guard(foreign_lock_);
    tasks_received_.add(1);
    task.results_left = static_cast<std::uint32_t>(foreign_.size());
    foreign_.push_back(&task);
}

void Dispatcher::foreign_ended(Task& task) noexcept {
    std::lock_guard guard(foreign_lock_);
    Task* const last = foreign_.back();
    foreign_[task.results_left] = last;
    last->results_left = task.results_left;
    foreign_.pop_back();
}

}  // namespace mobula::runtime
