// SPDX-License-Identifier: Apache-2.0
#include "runtime/waits.hpp"

#include <mobula/error.hpp>

#include "base/spinlock.hpp"
#include "runtime/engine.hpp"
#include "runtime/stall_watch.hpp"

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

}  // namespace

void Waits::check_cancelled() {
    const worker::Frame* const frame = worker::Team::frame();
    if (frame_cancelled(frame)) engine_.cancelled(*frame->task)->raise();
    std::lock_guard guard(mutex_);
    if (ended_) throw Cancelled("the job ends");
}

void Waits::sleep(Gathering& gathering, std::span<Object* const> objects, Deadline deadline) {
    Entry entry;
    entry.gathering = &gathering;
    entry.frame = worker::Team::frame();
    entry.objects = objects;
    entry.since = Clock::now();
    {
        std::lock_guard guard(mutex_);
        entry.next = first_;
        if (first_ != nullptr) first_->previous = &entry;
        first_ = &entry;
        if (ended_) gathering.interrupt(Gathering::job_ends);
    }
    // Whoever cancels sets the flag first and looks through the list then.
    if (frame_cancelled(entry.frame)) gathering.interrupt(Gathering::cancelled);

    worker::Timers::Key alarm;
    if (deadline) {
        const auto [key, first] = engine_.team.timers().add(*deadline, gathering);
        alarm = key;
        if (first) engine_.team.timers_changed();
    }
    // Those that it waits for may need just the CPUs that it holds.
    const Task* const task = entry.frame != nullptr ? entry.frame->task : nullptr;
    const bool lends = task != nullptr && task->extra != nullptr && task->extra->holds;
    if (lends) engine_.resources.lend(*task);
    gathering.sleep();
    if (lends) engine_.resources.take_back(*task);
    if (deadline) engine_.team.timers().remove(alarm);
    std::lock_guard guard(mutex_);
    (entry.previous == nullptr ? first_ : entry.previous->next) = entry.next;
    if (entry.next != nullptr) entry.next->previous = entry.previous;
}

void Waits::objects(std::span<detail::Cell* const> cells, std::size_t count, Deadline deadline,
                    bool value) {
    const auto satisfied = [&](const Object& object) {
        const graph::State state = graph::state_of(object);
        return value ? graph::is_here(state) : graph::is_done(state);
    };
    std::size_t done = 0;
    for (detail::Cell* cell : cells) {
        const bool is = satisfied(Object::of(*cell));
        done += is ? 1 : 0;
        // What is elsewhere is asked for now, all at once, also when nothing must be waited for.
        if (!is && Object::of(*cell).shared != nullptr) {
            engine_.exchange.want(Object::of(*cell), value);
        }
    }
    if (done >= count) return;
    check_cancelled();
    if (deadline && *deadline <= Clock::now()) {
        engine_.poll();
        return;
    }

    Gathering gathering(engine_.team, count);
    std::vector<Waker> waiters(cells.size());
    std::vector<Object*> objects(cells.size());
    std::size_t added = 0;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        Object& object = Object::of(*cells[i]);
        objects[i] = &object;
        waiters[i].gathering = &gathering;
        waiters[i].needs_value = value;
        waiters[i].fire = [](graph::Waiter& waiter) noexcept {
            static_cast<Waker&>(waiter).gathering->arrive();
        };
        ++added;
        if (!graph::add_waiter(object, waiters[i])) {
            gathering.arrive();
        } else if (object.shared != nullptr) {
            engine_.exchange.want(object, value);
        }
    }
    sleep(gathering, objects, deadline);

    // The waiters go with this stack: take them out, and let those that are just being fired end.
    std::size_t removed = 0;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        if (graph::remove_waiter(*objects[i], waiters[i])) ++removed;
    }
    while (gathering.arrived() + removed < added) cpu_relax();
    if (gathering.was(Gathering::cancelled) || gathering.was(Gathering::job_ends)) {
        check_cancelled();
    }
}

void Waits::wake_cancelled() {
    std::lock_guard guard(mutex_);
    for (Entry* entry = first_; entry != nullptr; entry = entry->next) {
        if (frame_cancelled(entry->frame)) entry->gathering->interrupt(Gathering::cancelled);
    }
}

void Waits::end() {
    std::lock_guard guard(mutex_);
    ended_ = true;
    for (Entry* entry = first_; entry != nullptr; entry = entry->next) {
        entry->gathering->interrupt(Gathering::job_ends);
    }
}

std::vector<Waiting> Waits::list() {
    const Time now = Clock::now();
    const Rank self = engine_.self();
    std::lock_guard guard(mutex_);
    std::vector<Waiting> waiting;
    for (Entry* entry = first_; entry != nullptr; entry = entry->next) {
        Waiting& one = waiting.emplace_back();
        const Task* const task = entry->frame != nullptr ? entry->frame->task : nullptr;
        one.key =
            task != nullptr ? waiting_key(*task, self) : "driver " + std::to_string(index(self));
        one.name = task != nullptr           ? graph::name_of(*task)
                   : entry->frame != nullptr ? "driver"
                                             : "a thread of the user's";
        one.rank = static_cast<unsigned>(index(self));
        one.state = "waits";
        one.seconds = std::chrono::duration<double>(now - entry->since).count();
        one.any = entry->gathering->target() < entry->objects.size();
        for (Object* object : entry->objects) {
            if (graph::is_done(graph::state_of(*object))) continue;
            one.targets.push_back(engine_.exchange.target_of(*object));
            if (one.targets.size() == listed_targets_max) break;
        }
    }
    return waiting;
}

}  // namespace mobula::runtime
