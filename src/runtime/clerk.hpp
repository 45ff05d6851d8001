// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "base/clock.hpp"
#include "graph/object.hpp"
#include "graph/task.hpp"
#include "worker/fiber.hpp"

namespace mobula::runtime {

/// A thread for what runs code of the user's and comes up where the network is driven: encoding,
/// sizes, destructors. One of its own and no task, since all workers may be busy for as long as
/// they like. It starts with the first chore; a job whose types are all quiet (see is_quiet) has
/// none. Chores run one after another, in the order in which they were given. Thread-safe.
class Clerk {
public:
    using Chore = std::function<void()>;

    /// `after` is called on the thread when chores are done, soon after each, so that what they
    /// have sent leaves; `stack_bytes` as for tasks.
    Clerk(std::size_t stack_bytes, std::function<void()> after);
    /// As end().
    ~Clerk();
    Clerk(const Clerk&) = delete;
    Clerk& operator=(const Clerk&) = delete;

    /// The chore, which may not throw, runs on the thread: at once on the caller's where there can
    /// be no thread, and after the end.
    void give(Chore chore);
    /// Whether all chores are done.
    [[nodiscard]] bool idle() const noexcept {
        return undone_.load(std::memory_order_acquire) == 0;
    }
    /// Waits until they are, at most so long; whether they are.
    bool await_idle(Duration at_most);
    /// Does what is left, and ends the thread.
    void end() noexcept;

private:
    bool begin() noexcept;
    void run();
    void work();

    const std::size_t stack_bytes_;
    const std::function<void()> after_;
    std::atomic<std::size_t> undone_{0};
    std::mutex mutex_;  ///< guards what follows, up to the thread
    std::condition_variable given_, done_;
    std::deque<Chore> chores_;
    bool ending_ = false;
    std::thread thread_;
    std::optional<worker::Fiber> fiber_;  ///< the thread's stack, of the size that tasks have
    worker::Fiber* native_ = nullptr;
};

/// Whether a value was given to the task whose type is not quiet: to encode or destroy it runs code
/// of the user's.
[[nodiscard]] inline bool holds_users_values(detail::Task& task) noexcept {
    const detail::FunctionInfo& info = *task.info;
    return !info.quiet && (info.loud == nullptr || info.loud(graph::arguments(task)));
}
/// Whether to free the object runs code of the user's. Its last reference is gone.
[[nodiscard]] bool ends_by_users_code(const graph::Object& object) noexcept;
/// Whether to tell its size does. Of an object with a value.
[[nodiscard]] inline bool weighs_by_users_code(const graph::Object& object) noexcept {
    return graph::state_of(object) == graph::State::ready && object.type->users_weight;
}

}  // namespace mobula::runtime
