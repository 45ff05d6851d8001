// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/rough_clock.hpp"
#include "base/spinlock.hpp"
#include "graph/task_list.hpp"
#include "runtime/clerk.hpp"
#include "runtime/dispatcher.hpp"
#include "runtime/exchange.hpp"
#include "runtime/handle_circles.hpp"
#include "runtime/names.hpp"
#include "runtime/network.hpp"
#include "runtime/resources.hpp"
#include "runtime/stall.hpp"
#include "runtime/streams.hpp"
#include "runtime/task_life.hpp"
#include "runtime/task_mark.hpp"
#include "wire/messages.hpp"
#include "worker/team.hpp"

namespace mobula::runtime {

using graph::Object;

/// The failure of calls of a dead actor.
[[nodiscard]] FailurePtr died(const std::string& reason);
/// Why a call through a handle of the wrong class does not run.
[[nodiscard]] FailurePtr of_another_class(const Task& method);
/// Why calls fail of an actor whose constructor did.
[[nodiscard]] std::string constructor_failed(const graph::Failure& why);

/// Actors: on the caller's side, calls that go out in the caller's order; on the actor's rank, the
/// instance with its mailbox. Calls reach the instance over one channel per calling rank, so they
/// arrive in the order in which they left. Thread-safe.
class Actors {
public:
    struct Parts {
        TaskLife& life;
        Network& network;
        worker::Team& team;
        Exchange& exchange;
        ResourceGate& resources;
        Dispatcher& dispatcher;
        Streams& streams;
        Names& names;
        HandleCircles& handle_circles;
        Clerk& clerk;
        const RoughClock& clock;
    };
    explicit Actors(const Parts& parts);
    Actors(const Actors&) = delete;
    Actors& operator=(const Actors&) = delete;

    // ---- the caller's side ----

    /// Chooses the actor's rank and sends the constructor there.
    [[nodiscard]] detail::CellPtr spawn(Task& constructor, const ActorOptions& options);
    /// Sends the call behind the earlier ones of the same caller.
    void call(Object& actor, Task& method);
    void kill(Object& actor);
    void kill(const ObjectId& id, Rank rank, const std::string& reason);
    /// Rank 0 has given the actor its name, or says why not.
    void named(const ObjectId& id, const std::string& refusal);
    /// The constructor could not be sent to the actor's rank.
    void kill_there(const Task& constructor, Rank rank, const graph::Failure& why);
    /// No handle is left anywhere: told on the rank that spawned the actor.
    void ended(const ObjectId& id, Rank rank);

    // ---- the actor's rank ----

    /// What the task, which is about to run, runs on; null when the actor died before it began, or
    /// is of another class than the method.
    [[nodiscard]] void* prepare(Task& task);
    /// It ran, or failed without running. Returns what its caller hears: of a call that was
    /// cancelled because its actor was killed, the actor's death.
    [[nodiscard]] FailurePtr finished(Task& task, FailurePtr failure);

    /// A method sleeps, and goes on: while all that are under way sleep, the actor's CPUs are lent
    /// to others, since those that it waits for may need just these.
    void method_waits(const Task& method);
    void method_goes_on(const Task& method);

    /// The job is over: destroys the actors that are left, and calls that still wait for inputs.
    void drain() noexcept;

    /// Calls that wait for others or for their inputs, for the graph of who waits for whom.
    void list(std::vector<Waiting>& all);

    void on_spawn(Rank from, const wire::Spawn& message, wire::RecordReader& tail);
    void on_call(Rank from, const wire::Call& message, wire::RecordReader& tail);
    void on_end(const wire::EndActor& message);
    void on_kill(const wire::KillActor& message);
    void on_watch(Rank from, const wire::WatchActor& message);
    void on_ask(Rank from, const wire::AskActor& message);
    void on_dead(const wire::ActorDead& message, wire::RecordReader& tail);

    /// A number that stands for the actor as a caller of others.
    [[nodiscard]] static std::uint64_t caller_of(const Task& task) noexcept;
    [[nodiscard]] static const std::vector<unsigned>* gpus_of(const Task& task) noexcept;
    /// The CPUs that a method or constructor has: those of its actor.
    [[nodiscard]] static double cpus_of(const Task& task) noexcept;
    /// With the actor's name, where it is one's that has a name. Of tasks that are on the rank
    /// where they run.
    [[nodiscard]] static TaskMark mark_of(const Task& task, Rank self) noexcept;

private:
    /// A call in a mailbox.
    struct Queued {
        Task* task;
        Time since;  ///< roughly
    };
    struct Instance {
        ObjectId id{};
        const detail::ActorInfo* info = nullptr;
        const detail::FunctionInfo* made_by = nullptr;  ///< its constructor, once that came
        void* self = nullptr;
        std::uint64_t caller = 0;
        unsigned max_concurrency = 1;
        int priority = 0;  ///< of calls without one of their own
        unsigned running = 0;
        unsigned waiting = 0;  ///< of those; counted if the actor holds CPUs
        bool named = false;    ///< and its owner was not told yet that it is dead
        bool constructing = false;
        bool constructed = false;
        bool ended = false;
        FailurePtr dead;
        Task* constructor = nullptr;
        std::string name;
        std::deque<Queued> mailbox;
        std::vector<Task*> under_way;
        std::vector<Rank> watchers;              ///< ranks with calls that wait for their inputs
        std::unique_ptr<graph::TaskExtra> held;  ///< the resources that it holds for life
    };
    struct LineKey {
        std::uint64_t caller;
        const Object* actor;
        friend bool operator==(const LineKey&, const LineKey&) = default;
    };
    struct LineHash {
        std::size_t operator()(const LineKey& key) const noexcept {
            return (key.caller * 0x9E3779B97F4A7C15ULL) ^
                   (reinterpret_cast<std::uintptr_t>(key.actor) >> 6U);
        }
    };
    /// Calls of one caller to one actor of which the first waits for its inputs.
    struct Line {
        LineKey key;
        graph::TaskList calls;
        bool draining = false;  ///< a thread sends its calls and looks for more when it has
        Time since{};           ///< the first one is the first, roughly
    };
    using Lock = std::unique_lock<Spinlock>;

    [[nodiscard]] static LineKey line_key(const Object& actor) noexcept;
    void hold(Object& actor, const ObjectId& id, Task& constructor);
    void refuse(Task& constructor, const std::string& reason);
    void dispatch(Task& task);
    void line_ready(Task& task);
    void leave_line(Task& task, std::unique_lock<std::mutex>& lock);
    void drain_line(Line& line, std::unique_lock<std::mutex>& lock);
    void watch(Object& actor);
    void fail_lines(const ObjectId& id, const FailurePtr& death);
    void tell_of_death(const ObjectId& id);
    void send_death(Rank to, const ObjectId& id, const graph::Failure& death);
    static void want(Object& object, bool value, void* self);
    void on_task(Rank from, wire::Kind kind, const ObjectId& id, const wire::TaskHead& head,
                 wire::RecordReader& tail);
    void check_arrival(const ObjectId& id, const detail::FunctionInfo& info);
    void receive(Task& task, const ObjectId& id, bool construct);
    void expect(Task& task, const ObjectId& id, bool construct);
    void withdraw(Task& task, const graph::Failure& why);
    void never_began(const ObjectId& id, const graph::Failure& why);
    void arrive(Task& task);
    Instance& enter(Task& task, const ObjectId& id, bool construct);
    void arrive_here(Task& task);
    void pump(Instance& instance, Lock& lock);
    bool settle_cpus(Instance& instance);
    [[nodiscard]] static std::string title_of(const Instance& instance);
    /// What list() copies of a call in a mailbox, and where the calls that it waits for are.
    struct CallMark {
        TaskMark task;
        Time since{};
        enum class Why : std::uint8_t { bytes, constructor, others } why = Why::others;
        std::size_t behind = 0, count = 0;
    };
    struct Snapshot {
        std::vector<CallMark> calls;
        std::vector<TaskMark> behind;
    };
    void list_lines(std::vector<Waiting>& all);
    [[nodiscard]] std::vector<Waiting::Target> targets_of(Task& task);
    [[nodiscard]] Snapshot copy_mailboxes();
    void copy(const Instance& target, Snapshot& all) const;
    void end(const ObjectId& id);
    bool kill_here(const ObjectId& id, const std::string& reason);
    void ask_owner(const ObjectId& id);
    [[nodiscard]] Instance& instance(const ObjectId& id);
    [[nodiscard]] bool over(const Instance& instance) const;
    [[nodiscard]] Task* take_remains(Instance& instance);

    TaskLife& life_;
    Network& network_;
    worker::Team& team_;
    Exchange& exchange_;
    ResourceGate& resources_;
    Dispatcher& dispatcher_;
    Streams& streams_;
    Names& names_;
    HandleCircles& handle_circles_;
    Clerk& clerk_;
    const RoughClock& clock_;
    const graph::InputEvents line_events_;  ///< of calls in lines
    const graph::InputEvents here_events_;  ///< of calls in mailboxes
    Spinlock lock_;                         // of the instances
    std::unordered_map<ObjectId, std::unique_ptr<Instance>> instances_;
    std::mutex lines_mutex_;                             // of the lines
    std::unordered_map<LineKey, Line, LineHash> lines_;  // a call keeps its line's address
    std::unordered_map<ObjectId, Task*> unnamed_;        // constructors in a line; rank 0 is asked
    std::uint64_t next_caller_ = 1;
};

}  // namespace mobula::runtime
