// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "graph/task.hpp"

namespace mobula::graph {

/// Tasks in order, linked through Task::next: a task is in one list at a time. Costs no allocation;
/// owns nothing. Reentrant.
class TaskList {
public:
    void push(Task& task) noexcept {
        task.next = nullptr;
        (first_ == nullptr ? first_ : last_->next) = &task;
        last_ = &task;
    }
    /// The oldest one, or null.
    [[nodiscard]] Task* pop() noexcept {
        Task* const task = first_;
        if (task == nullptr) return nullptr;
        first_ = task->next;
        // A long list is in no cache: bring what the next pop and its caller will touch.
        if (first_ != nullptr) {
            __builtin_prefetch(first_->next);
            __builtin_prefetch(first_->result, 1);
        }
        return task;
    }
    [[nodiscard]] Task* first() const noexcept { return first_; }
    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }

private:
    Task* first_ = nullptr;
    Task* last_ = nullptr;
};

}  // namespace mobula::graph
