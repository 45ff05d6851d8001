// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/counter.hpp"
#include "base/driving.hpp"
#include "base/rank_index.hpp"
#include "base/spinlock.hpp"
#include "graph/task.hpp"
#include "runtime/clerk.hpp"
#include "runtime/exchange.hpp"
#include "runtime/functions.hpp"
#include "runtime/network.hpp"
#include "runtime/repeated_values.hpp"
#include "runtime/resources.hpp"
#include "runtime/task_life.hpp"
#include "scheduler/loads.hpp"
#include "worker/team.hpp"

namespace mobula::runtime {

/// Tasks between ranks: chooses the rank, sends, receives, gives results back, and takes back what
/// has not started when this rank runs dry. A sent task stays in this rank's table, with its
/// arguments, until its results are back: that is its lineage. Thread-safe; the `on_` members are
/// called while the network is driven.
class Dispatcher {
public:
    struct Parts {
        TaskLife& life;
        Network& network;
        worker::Team& team;
        Exchange& exchange;
        ResourceGate& resources;
        const FunctionTable& functions;
        Clerk& clerk;
    };
    struct Settings {
        std::chrono::microseconds window;  ///< of work that a rank is sent ahead
        Duration look_period;           ///< a rank may seem stuck before its tasks are taken back
        std::size_t inline_bytes;       ///< of the largest value inside a message
        std::size_t locality_bytes;     ///< of inputs that draw a task to their rank
        std::size_t large_value_bytes;  ///< see RepeatedValues
    };
    Dispatcher(const Parts& parts, const Settings& settings,
               scheduler::Loads::WorkersOf workers_of);

    /// Sends the task to the best rank, or runs it here.
    void place(Task& task);
    /// Sends a task, or an actor's constructor or call, to a certain rank.
    void send(Task& task, Rank to);
    /// Whether to send the task runs code of the user's while the calling thread drives the
    /// network: the clerk sends it then. Calls of one caller must go there one behind another.
    [[nodiscard]] static bool is_for_clerk(Task& task) {
        return !task.info->quiet && Driving::now() && goes_by_users_code(task);
    }
    /// Whether a rank takes what it is sent so slowly that submission must slow down.
    [[nodiscard]] bool backlogged() const noexcept;
    /// A result of another rank's task was made here; or the task failed.
    void give_result(Task& task, std::uint32_t number) noexcept;
    void give_failure(Task& task, const graph::Failure& failure) noexcept;
    /// This rank has nothing to run: asks for tasks that wait elsewhere, and says that it has room
    /// where it had said that it has none.
    void idle() noexcept;
    /// To be called now and then: moves what does not get on, here or elsewhere, to where a worker
    /// is idle. Cheap when it is not the time.
    void look(Time now) noexcept;
    /// When look() wants to be called next; far away when there is nothing to look after.
    [[nodiscard]] Time next_look() const noexcept {
        return Time(Duration(look_at_.load(std::memory_order_relaxed)));
    }
    /// To be called when a task, or a scope, was marked as cancelled and before its phase is looked
    /// at: what is just being sent is cancelled too then.
    void cancel_begins() noexcept;
    /// Asks the rank that has the task to cancel it.
    void cancel(Rank where, TaskKey key, bool recursive);
    /// Asks for the cancelling of all sent tasks whose parent was cancelled.
    void cancel_children();

    /// The task that a rank has under the key, or null.
    [[nodiscard]] Task* find_sent(TaskKey key, Rank where);

    /// What this rank has sent there and has no result of, for people: "step(...) and 3 more";
    /// empty when there is nothing.
    [[nodiscard]] std::string describe_sent(Rank where) const;

    /// A task of another rank, as a record tells it.
    struct Received {
        Task* task;
        Arrived arrived;     ///< arguments of which blocks are still elsewhere
        FailurePtr failure;  ///< it cannot be read and is to be refused
    };
    /// The function that the record calls. Throws Error where it calls none, or not as what it is.
    [[nodiscard]] const detail::FunctionInfo& function_of(wire::Kind kind,
                                                          const wire::TaskHead& head) const;
    /// Reads options and arguments of such a call.
    [[nodiscard]] Received receive(Rank from, wire::Kind kind, const wire::TaskHead& head,
                                   wire::RecordReader& tail);
    /// Tells the task's rank why it does not run, and frees it. It has no arguments.
    void refuse(Task& task, const graph::Failure& failure) noexcept;
    /// Brings what of the arguments is elsewhere, and calls `done`: the task may run, or is refused
    /// for this failure afterwards.
    void fetch_arguments(Task& task, Arrived arrived,
                         std::function<void(const FailurePtr& failure)> done);

    void on_task(Rank from, const wire::RunTask& message, wire::RecordReader& tail);
    void on_result(Rank from, const wire::Result& message, wire::RecordReader& tail);
    void on_recall(Rank from, const wire::Recall& message);
    void on_returned(Rank from, const wire::Returned& message);
    void on_room(Rank from, const wire::Room& message);
    void on_cancel(Rank from, const wire::Cancel& message);

    /// Another rank's task came here, or is over; between the two it can be cancelled.
    void foreign_started(Task& task);
    void foreign_ended(Task& task) noexcept;

    /// The job is over: frees the tasks whose results will not come back.
    void drain() noexcept;

    [[nodiscard]] std::uint64_t tasks_sent() const noexcept { return tasks_sent_.get(); }
    [[nodiscard]] std::uint64_t tasks_received() const noexcept { return tasks_received_.get(); }

private:
    struct Slot {
        Task* task = nullptr;
        std::uint32_t generation = 0;
        std::uint32_t next_free = 0;
    };
    /// A sent task of which a result came.
    struct Back {
        Task* task = nullptr;
        bool last = false;  ///< nothing more will come; it has left the table
        bool more = false;  ///< and its rank should get more tasks
    };

    void enter(Task& task);
    void forget(const Task& task);
    void free_slot(TaskKey key);
    /// Whether its rank gives it back when it is asked for tasks; see Team::take_foreign.
    [[nodiscard]] static scheduler::Loads::Bound bound_of(const Task& task) noexcept;
    [[nodiscard]] Task* lookup(TaskKey key, Rank where) const;
    [[nodiscard]] Back take_back(const wire::ResultHead& head, Rank from);
    [[nodiscard]] static bool goes_by_users_code(Task& task);
    void send_by_clerk(Task& task, bool first_time);
    void hand_over(Task& task, bool first_time);
    void begin_task(const Task& task, const wire::TaskHead& head, wire::RecordWriter& record);
    void write_task(Task& task, wire::RecordWriter& record, bool first_time);
    void look_for_repeats(const Task& task, detail::Writer& arguments);
    void let_go(Rank from, const wire::Result& message, wire::RecordReader& tail);
    void repeat_cancel(Rank to, TaskKey key);
    [[nodiscard]] bool refill(Rank rank);
    [[nodiscard]] bool place_near(Task& task);
    void place_by_load(Task& task);
    void watch() noexcept;
    [[nodiscard]] bool share(bool near);
    [[nodiscard]] std::uint32_t unready_of(Rank owner, bool near);
    void ask_back(const scheduler::Loads::Recall& recall);
    void say_room() noexcept;

    TaskLife& life_;
    Network& network_;
    worker::Team& team_;
    Exchange& exchange_;
    ResourceGate& resources_;
    const FunctionTable& functions_;
    Clerk& clerk_;
    const Settings settings_;
    RepeatedValues repeated_;
    std::atomic<std::uint64_t> cancels_{0};  ///< so many were begun
    mutable Spinlock lock_;  ///< of the table of sent tasks, and of the loads that it makes
    bool drained_ = false;   ///< nothing goes out any more
    std::vector<Slot> slots_;
    std::uint32_t free_slot_ = 0;
    std::uint32_t last_back_ = 0;  ///< the slot of the latest result
    scheduler::Loads loads_;

    // Of look(). Written under the lock.
    std::atomic<Time::rep> look_at_{Time::max().time_since_epoch().count()};
    bool brisk_ = false;  ///< the next look is at most a period away
    Duration look_step_{};
    std::atomic<bool> looking_{false};  ///< of one thread, which has the next three
    std::uint64_t run_seen_ = 0;        ///< tasks begun here at the last look
    bool waited_here_ = false;          ///< and some that may be sent had not
    Time still_here_since_{};

    Spinlock robbed_lock_;
    RankIndex robbed_by_;  ///< the ranks that know that this one has no room
    std::atomic<bool> robbed_{false};

    Spinlock foreign_lock_;
    std::vector<Task*> foreign_;  ///< other ranks' tasks here; each knows its place as results_left
    Counter tasks_sent_, tasks_received_;  ///< written under those locks
};

}  // namespace mobula::runtime
