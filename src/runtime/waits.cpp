// SPDX-License-Identifier: Apache-2.0
#include "runtime/waits.hpp"

#include <algorithm>
#include <array>

#include <mobula/error.hpp>

#include "base/encoding.hpp"
#include "base/spinlock.hpp"
#include "runtime/failures.hpp"
#include "runtime/frame.hpp"

namespace mobula::runtime {
namespace {

/// Who waits for a million objects is described by the first of them.
constexpr std::size_t listed_targets_max = 64;

bool frame_cancelled(const worker::Frame* frame) noexcept {
    return frame != nullptr && frame->task != nullptr && graph::is_cancelled(*frame->task);
}

struct Waker : graph::Waiter {
    Gathering* gathering = nullptr;
};
constexpr detail::WaiterEvents waker_events{
    [](graph::Waiter& waiter) noexcept { static_cast<Waker&>(waiter).gathering->arrive(); }};
/// So many waiters lie on the stack of who waits.
constexpr std::size_t few = 4;

bool satisfied(const Object& object, bool value) noexcept {
    const graph::State state = graph::state_of(object);
    return value ? graph::is_here(state) : graph::is_done(state);
}

}  // namespace

void Waits::check_cancelled() {
    const worker::Frame* const frame = worker::Team::frame();
    if (frame_cancelled(frame)) failure_of_cancelled(*frame->task, network_.self())->raise();
    if (ended_.load(std::memory_order_acquire)) throw Cancelled("the job ends");
}

void Waits::refuse_to_encoder() {
    if (!Encoding::now()) return;
    throw BadInput("a serialize that encodes a value must not wait (get, view, wait, next, find)");
}

void Waits::sleep(Gathering& gathering, std::span<detail::Cell* const> objects,
                  Deadline deadline) noexcept {
    Entry entry;
    entry.gathering = &gathering;
    entry.frame = worker::Team::frame();
    entry.objects = objects;
    entry.since = Clock::now();
    {
        std::lock_guard guard(lock_);
        entry.next = first_;
        if (first_ != nullptr) first_->previous = &entry;
        first_ = &entry;
        if (ended_) gathering.interrupt(Gathering::job_ends);
    }
    // Whoever cancels sets the flag first and looks through the list then.
    if (frame_cancelled(entry.frame)) gathering.interrupt(Gathering::cancelled);

    worker::Timers::Key alarm;
    if (deadline) {
        const auto [key, first] = team_.timers().add(*deadline, gathering);
        alarm = key;
        if (first) team_.timers_changed();
    }
    const Task* const task = entry.frame != nullptr ? entry.frame->task : nullptr;
    // What it has asked other ranks for may still wait to be sent.
    if (entry.frame == nullptr) network_.wake_sleeper();
    auto lent = TaskLife::Lent::nothing;
    if (task != nullptr) lent = life_.sleeps(*task);
    gathering.sleep(deadline);
    if (task != nullptr) life_.goes_on(*task, lent);
    if (deadline) team_.timers().remove(alarm);
    std::lock_guard guard(lock_);
    (entry.previous == nullptr ? first_ : entry.previous->next) = entry.next;
    if (entry.next != nullptr) entry.next->previous = entry.previous;
}

void Waits::objects(std::span<detail::Cell* const> cells, std::size_t count, Deadline deadline,
                    bool value) {
    std::size_t done = ask(cells, value);
    if (done >= count) return;
    refuse_to_encoder();
    check_cancelled();
    if (deadline && *deadline <= Clock::now()) {
        network_.drive();
        return;
    }
    if (count == cells.size() && count > few) {
        // Mostly they come in their order, so the last one is a good one to wait for alone.
        if (!satisfied(Object::of(*cells.back()), value)) {
            await(cells.last(1), 1, deadline, value);
            done = ask(cells, value);
        }
        if (done >= count) return;
        std::vector<detail::Cell*> left;
        for (detail::Cell* cell : cells) {
            if (!satisfied(Object::of(*cell), value)) left.push_back(cell);
        }
        return await(left, left.size(), deadline, value);
    }
    await(cells, count, deadline, value);
}

/// How many are there. What is elsewhere is asked for now, all at once.
std::size_t Waits::ask(std::span<detail::Cell* const> cells, bool value) {
    std::size_t done = 0;
    for (detail::Cell* cell : cells) {
        Object& object = Object::of(*cell);
        if (satisfied(object, value)) {
            ++done;
        } else if (object.shared != nullptr) {
            exchange_.want(object, value);
        }
    }
    return done;
}

void Waits::await(std::span<detail::Cell* const> cells, std::size_t count, Deadline deadline,
                  bool value) {
    if (count == 0) return;
    Gathering gathering(team_, count);
    std::array<Waker, few> some;
    std::vector<Waker> many(cells.size() > few ? cells.size() : 0);
    const std::span<Waker> waiters =
        many.empty() ? std::span<Waker>(some).first(cells.size()) : std::span<Waker>(many);
    for (std::size_t i = 0; i < cells.size(); ++i) {
        Object& object = Object::of(*cells[i]);
        waiters[i].gathering = &gathering;
        waiters[i].needs_value = value;
        waiters[i].events = &waker_events;
        if (!graph::add_waiter(object, waiters[i])) {
            gathering.arrive();
        } else if (object.shared != nullptr) {
            exchange_.want(object, value);
        }
    }
    sleep(gathering, cells, deadline);

    // The waiters go with this stack: take them out, and let those that are just being fired end.
    std::size_t removed = 0;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        if (graph::remove_waiter(Object::of(*cells[i]), waiters[i])) ++removed;
    }
    while (gathering.arrived() + removed < cells.size()) cpu_relax();
    if (gathering.was(Gathering::cancelled) || gathering.was(Gathering::job_ends)) {
        check_cancelled();
    }
}

void Waits::wake_cancelled() {
    std::lock_guard guard(lock_);
    for (Entry* entry = first_; entry != nullptr; entry = entry->next) {
        if (frame_cancelled(entry->frame)) entry->gathering->interrupt(Gathering::cancelled);
    }
}

void Waits::end() {
    std::lock_guard guard(lock_);
    ended_ = true;
    for (Entry* entry = first_; entry != nullptr; entry = entry->next) {
        entry->gathering->interrupt(Gathering::job_ends);
    }
}

/// Counts under the lock, makes room without it and copies under it: what has come in between and
/// has no room is left out.
Waits::Snapshot Waits::copy() {
    Snapshot all;
    const auto each = [&](auto&& visit) {
        std::lock_guard guard(lock_);
        for (Entry* entry = first_; entry != nullptr; entry = entry->next) {
            if (!visit(*entry, std::min(entry->objects.size(), listed_targets_max))) return;
        }
    };
    std::size_t entries = 0, objects = 0;
    each([&](const Entry&, std::size_t count) {
        objects += count;
        return ++entries < listed_max;
    });
    all.entries.reserve(entries);
    all.objects.reserve(objects);
    each([&](const Entry& entry, std::size_t count) {
        if (all.entries.size() == entries || all.objects.size() + count > objects) return false;
        Mark& mark = all.entries.emplace_back();
        const Task* const task = entry.frame != nullptr ? entry.frame->task : nullptr;
        if (task != nullptr) mark.task = life_.mark_of(*task);
        mark.kind = task != nullptr          ? Mark::Kind::task
                    : entry.frame != nullptr ? Mark::Kind::driver
                                             : Mark::Kind::thread;
        mark.any = entry.gathering->target() < entry.objects.size();
        mark.since = entry.since;
        mark.objects = all.objects.size();
        for (detail::Cell* cell : entry.objects) {
            if (mark.count == count) break;
            if (graph::is_done(graph::state_of(Object::of(*cell)))) continue;
            all.objects.push_back(detail::CellPtr::share(*cell));
            ++mark.count;
        }
        return true;
    });
    return all;
}

Waiting Waits::describe(const Mark& mark, const Snapshot& all, Time now,
                        const TargetOf& target_of) const {
    const unsigned self = static_cast<unsigned>(index(network_.self()));
    Waiting one;
    one.key = "driver " + std::to_string(self);
    one.name = mark.kind == Mark::Kind::driver ? "driver" : "a thread of the user's";
    if (mark.kind == Mark::Kind::task) {
        one.key = mark.task.key();
        one.name = mark.task.title();
    }
    one.rank = self;
    one.state = "waits";
    one.seconds = std::chrono::duration<double>(now - mark.since).count();
    one.any = mark.any;
    for (std::size_t i = mark.objects; i < mark.objects + mark.count; ++i) {
        one.targets.push_back(target_of(Object::of(*all.objects[i])));
    }
    return one;
}

std::vector<Waiting> Waits::list(const TargetOf& target_of) {
    const Snapshot all = copy();
    const Time now = Clock::now();
    std::vector<Waiting> waiting;
    for (const Mark& mark : all.entries) waiting.push_back(describe(mark, all, now, target_of));
    return waiting;
}

}  // namespace mobula::runtime
