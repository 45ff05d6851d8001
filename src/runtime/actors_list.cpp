// SPDX-License-Identifier: Apache-2.0

/// What calls of actors wait for, for the graph of waiting tasks.

#include <algorithm>
#include <utility>

#include "runtime/actors.hpp"

namespace mobula::runtime {

/// Calls in lines, and constructors: the first of a line waits for its inputs, or its name. The
/// others are told with its age, which is the most that theirs can be.
void Actors::list_lines(std::vector<Waiting>& all) {
    const Rank self = network_.self();
    const Time now = Clock::now();
    std::size_t listed = 0;
    std::lock_guard guard(lines_mutex_);
    for (const auto& [key, line] : lines_) {
        Task* const first = line.calls.first();
        if (first == nullptr) continue;
        const TaskMark of_first(*first, self);
        for (Task* task = first; task != nullptr; task = task->next) {
            if (task->phase.load() == Task::Phase::over) continue;
            if (++listed > listed_max) return;
            Waiting& one = all.emplace_back();
            const TaskMark mark(*task, self);
            one.key = mark.key();
            one.name = mark.name();
            one.rank = static_cast<unsigned>(index(self));
            one.seconds = std::chrono::duration<double>(now - line.since).count();
            one.state = "queued behind calls of its caller";
            one.targets.push_back({of_first.key(), of_first.name()});
            if (task != first) continue;
            one.state = "waits";
            one.targets = targets_of(*task);
        }
    }
}

/// The inputs that it waits for.
std::vector<Waiting::Target> Actors::targets_of(Task& task) {
    struct Found {
        Exchange& exchange;
        std::vector<Waiting::Target> targets;
    } found{exchange_, {}};
    task.info->visit(
        graph::arguments(task),
        [](detail::Input& input, void* context) {
            auto& [exchange, all] = *static_cast<Found*>(context);
            Object& object = Object::of(*input.cell);
            if (!graph::is_done(graph::state_of(object))) all.push_back(exchange.target_of(object));
        },
        &found);
    std::vector<Waiting::Target> targets = std::move(found.targets);
    const bool constructs = task.info->actor != nullptr;
    if (constructs && unnamed_.contains(exchange_.actor_of(Object::of(*task.actor)).first)) {
        targets.push_back({{}, "the name '" + graph::name_of(task) + "'"});
    }
    return targets;
}

TaskMark Actors::mark_of(const Task& task, Rank self) noexcept {
    TaskMark mark(task, self);
    const auto* const target = static_cast<const Instance*>(task.instance);
    if (task.info->actor == nullptr && target != nullptr) mark.set_actor(target->name);
    return mark;
}

/// Why the actor's calls have not begun. The lock is held; all that has room was reserved before.
void Actors::copy(const Instance& target, Snapshot& all) const {
    const Rank self = network_.self();
    const std::size_t behind = all.behind.size();
    const auto add = [&](const Task& task) {
        if (all.behind.size() < all.behind.capacity()) all.behind.push_back(mark_of(task, self));
    };
    if (target.constructed) {
        for (const Task* running : target.under_way) add(*running);
    } else if (target.constructor != nullptr) {
        add(*target.constructor);
    }
    for (const Queued& queued : target.mailbox) {
        if (all.calls.size() == all.calls.capacity()) return;
        CallMark& call = all.calls.emplace_back();
        call.task = mark_of(*queued.task, self);
        call.since = queued.since;
        call.behind = behind;
        call.count = all.behind.size() - behind;
        call.why = !queued.task->here    ? CallMark::Why::bytes
                   : !target.constructed ? CallMark::Why::constructor
                                         : CallMark::Why::others;
    }
}

/// Counts under the lock, makes room without it and copies under it: what has come in between and
/// has no room is left out.
Actors::Snapshot Actors::copy_mailboxes() {
    Snapshot all;
    std::size_t calls = 0, behind = 0;
    {
        Lock lock(lock_);
        for (const auto& [id, target] : instances_) {
            if (calls >= listed_max) break;
            if (target->mailbox.empty()) continue;
            calls += target->mailbox.size();
            behind += target->under_way.size() + 1;
        }
    }
    all.calls.reserve(std::min(calls, listed_max));
    all.behind.reserve(std::min(behind, listed_max));
    Lock lock(lock_);
    for (const auto& [id, target] : instances_) {
        if (all.calls.size() == all.calls.capacity()) break;
        if (!target->mailbox.empty()) copy(*target, all);
    }
    return all;
}

void Actors::list(std::vector<Waiting>& list) {
    list_lines(list);
    const Snapshot all = copy_mailboxes();
    const Time now = Clock::now();
    for (const CallMark& call : all.calls) {
        Waiting& one = list.emplace_back();
        one.key = call.task.key();
        one.name = call.task.title();
        one.rank = static_cast<unsigned>(index(network_.self()));
        one.seconds = std::chrono::duration<double>(now - call.since).count();
        if (call.why == CallMark::Why::bytes) {
            one.state = "waits for the bytes of its arguments";
            continue;
        }
        const bool constructs = call.why == CallMark::Why::constructor;
        one.state =
            constructs ? "has an actor that has not begun, and waits" : "queued behind other calls";
        for (std::size_t i = call.behind; i < call.behind + call.count; ++i) {
            one.targets.push_back({all.behind[i].key(), all.behind[i].title()});
        }
        if (constructs && call.count == 0) {
            one.targets.push_back({{}, "a constructor that has not come"});
        }
    }
}

}  // namespace mobula::runtime
