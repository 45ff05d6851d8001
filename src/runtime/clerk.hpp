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

/// Does what runs code of the user's and comes up where the network is driven: encoding, sizes,
/// destructors. A worker that drives the network does such chores once it does not, which costs
/// little; what no worker gets to is done by a thread of the clerk's own, since all workers may be
/// busy for as long as they like. A job whose types are all quiet (see is_quiet) has neither.
/// Thread-safe.
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

    /// The chore, which may not throw, is done soon: at once by the caller where there can be no
    /// thread, and after the end. Chores may run side by side.
    void give(Chore chore);
    /// The same for what may be long and should not be done twice at once: only by the thread, one
    /// after another.
    void give_in_turn(Chore chore);
    /// Does the chores that there are, but for those in turn. Of a thread that drives no more.
    void help();
    /// The thread shall do what workers have not got to.
    void hurry() noexcept;
    /// Whether there are chores for help().
    [[nodiscard]] bool needs_help() const noexcept {
        return waiting_.load(std::memory_order_relaxed) != 0;
    }
    /// While one lives, its thread promises to see to the chores that it gives.
    class Helper {
    public:
        Helper() noexcept { helps_ = true; }
        ~Helper() { helps_ = false; }
        Helper(const Helper&) = delete;
        Helper& operator=(const Helper&) = delete;
    };
    /// Whether all chores are done.
    [[nodiscard]] bool idle() const noexcept {
        return undone_.load(std::memory_order_acquire) == 0;
    }
    /// Waits until they are, at most so long; whether they are.
    bool await_idle(Duration at_most);
    /// Does what is left, and ends the thread.
    void end() noexcept;

private:
    [[nodiscard]] bool take_over(Chore& chore, std::deque<Chore>& queue);
    bool begin() noexcept;
    void run();
    void work();
    [[nodiscard]] Chore take(std::deque<Chore>& queue);
    void note_done() noexcept;

    const std::size_t stack_bytes_;
    const std::function<void()> after_;
    static inline thread_local constinit bool helps_ = false;
    std::atomic<std::size_t> undone_{0};
    std::atomic<std::size_t> waiting_{0};  ///< of chores_
    std::mutex mutex_;                     ///< guards what follows, up to the thread
    std::condition_variable given_, done_;
    std::deque<Chore> chores_, in_turn_;
    bool hurries_ = false;  ///< the thread does chores until there are none
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
