// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "base/spinlock.hpp"
#include "graph/task_list.hpp"

namespace mobula::worker {

using graph::Task;

/// A priority, which is any int, or `nothing`, which is below all of them.
using Level = std::int64_t;
inline constexpr Level nothing = std::numeric_limits<Level>::min();
inline constexpr Level usual = 0;

/// Ready tasks of a rank in the order in which they became ready, those of a higher priority
/// first, always: a lower one waits as long as there are higher ones. Thread-safe.
class ReadyQueue {
public:
    void push(Task& task) {
        const int priority = task.extra == nullptr ? 0 : task.extra->options.priority;
        std::lock_guard guard(lock_);
        (priority == 0 ? usual_ : others_[priority]).push(task);
        if (priority > best()) best_.store(priority, std::memory_order_relaxed);
        size_.store(size_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }

    /// The next task, or null.
    [[nodiscard]] Task* pop() noexcept {
        if (size() == 0) return nullptr;
        std::lock_guard guard(lock_);
        Task* task = nullptr;
        if (!others_.empty()) [[unlikely]] {
            task = pop_with_priorities();
        } else {
            task = usual_.pop();
        }
        if (task != nullptr) {
            size_.store(size_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
        }
        note_best();
        return task;
    }

    /// Takes out up to `count` tasks that `wanted` accepts, those of the usual priority first.
    template <class Wanted>
    [[nodiscard]] graph::TaskList remove(std::size_t count, Wanted&& wanted) {
        std::lock_guard guard(lock_);
        graph::TaskList removed;
        std::size_t taken = 0;
        const auto sift = [&](graph::TaskList& list) {
            graph::TaskList kept;
            while (Task* const task = list.pop()) {
                const bool take = taken < count && wanted(*task);
                taken += take ? 1 : 0;
                (take ? removed : kept).push(*task);
            }
            list = kept;
        };
        sift(usual_);
        for (auto& [priority, list] : others_) sift(list);
        std::erase_if(others_, [](const auto& entry) { return entry.second.empty(); });
        note_best();
        size_.store(size_.load(std::memory_order_relaxed) - taken, std::memory_order_relaxed);
        return removed;
    }

    /// Calls `look` with each of the first tasks, under the lock.
    template <class Look>
    void list(std::size_t count, Look&& look) {
        std::lock_guard guard(lock_);
        const auto some = [&](const graph::TaskList& list) {
            for (const Task* task = list.first(); task != nullptr && count != 0; --count) {
                look(*task);
                task = task->next;
            }
        };
        some(usual_);
        for (const auto& [priority, list] : others_) some(list);
    }

    [[nodiscard]] std::size_t size() const noexcept {
        return size_.load(std::memory_order_relaxed);
    }
    /// The priority of the task that pop() would give, or `nothing`.
    [[nodiscard]] Level best() const noexcept { return best_.load(std::memory_order_relaxed); }
    /// As seen after every push that happened before; for whoever is about to sleep.
    [[nodiscard]] bool empty() {
        std::lock_guard guard(lock_);
        return size() == 0;
    }

private:
    void note_best() noexcept {
        Level best = usual_.empty() ? nothing : usual;
        if (!others_.empty()) [[unlikely]]
            best = std::max<Level>(best, others_.begin()->first);
        if (best != this->best()) best_.store(best, std::memory_order_relaxed);
    }
    Task* pop_with_priorities() noexcept {
        auto best = others_.begin();  // sorted from the highest priority down
        if (best->first < 0 && !usual_.empty()) return usual_.pop();
        Task* task = best->second.pop();
        if (best->second.empty()) others_.erase(best);
        return task;
    }

    Spinlock lock_;
    graph::TaskList usual_;
    std::map<int, graph::TaskList, std::greater<>> others_;
    std::atomic<std::size_t> size_{0};
    std::atomic<Level> best_{nothing};
};

/// Tasks that a worker made ready itself: it takes the newest, because their data is warm and
/// recursion stays shallow; others take the oldest. Thread-safe.
class LocalDeque {
public:
    void push(Task& task) {
        std::lock_guard guard(lock_);
        if (tail_ - head_ == ring_.size()) grow();
        ring_[tail_ & (ring_.size() - 1)] = &task;
        tail_.store(tail_ + 1, std::memory_order_relaxed);
    }
    [[nodiscard]] Task* pop_newest() noexcept {
        if (size() == 0) return nullptr;
        std::lock_guard guard(lock_);
        if (head_ == tail_) return nullptr;
        tail_.store(tail_ - 1, std::memory_order_relaxed);
        return ring_[tail_ & (ring_.size() - 1)];
    }
    [[nodiscard]] Task* pop_oldest() noexcept {
        if (size() == 0) return nullptr;
        std::lock_guard guard(lock_);
        if (head_ == tail_) return nullptr;
        Task* task = ring_[head_ & (ring_.size() - 1)];
        head_.store(head_ + 1, std::memory_order_relaxed);
        return task;
    }
    /// Takes the older half of the other's tasks, rounded up, or as many of them as go at once. For
    /// the worker itself.
    void take_half(LocalDeque& other) {
        std::array<Task*, taken_max> tasks;
        std::size_t count = 0;
        {
            std::lock_guard guard(other.lock_);
            count = std::min((other.size() + 1) / 2, tasks.size());
            for (std::size_t i = 0; i < count; ++i) {
                tasks[i] = other.ring_[(other.head_ + i) & (other.ring_.size() - 1)];
            }
            other.head_.store(other.head_ + count, std::memory_order_relaxed);
        }
        for (std::size_t i = count; i > 0; --i) push(*tasks[i - 1]);  // the oldest is the next
    }
    /// Calls `look` with each of the oldest tasks, under the lock.
    template <class Look>
    void list(std::size_t count, Look&& look) {
        std::lock_guard guard(lock_);
        for (std::size_t i = head_; i != tail_ && count != 0; ++i, --count) {
            look(std::as_const(*ring_[i & (ring_.size() - 1)]));
        }
    }
    [[nodiscard]] std::size_t size() const noexcept {
        return tail_.load(std::memory_order_relaxed) - head_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] bool empty() {
        std::lock_guard guard(lock_);
        return head_ == tail_;
    }

private:
    static constexpr std::size_t taken_max = 64;

    void grow() {
        std::vector<Task*> bigger(ring_.size() * 2);
        for (std::size_t i = head_; i != tail_; ++i) {
            bigger[i & (bigger.size() - 1)] = ring_[i & (ring_.size() - 1)];
        }
        ring_ = std::move(bigger);
    }

    Spinlock lock_;
    std::vector<Task*> ring_ = std::vector<Task*>(64);
    std::atomic<std::size_t> head_{0}, tail_{0};
};

}  // namespace mobula::worker
