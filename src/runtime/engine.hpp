// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/driving.hpp"
#include "base/rough_clock.hpp"
#include "graph/task.hpp"
#include "runtime/actors.hpp"
#include "runtime/clerk.hpp"
#include "runtime/dispatcher.hpp"
#include "runtime/exchange.hpp"
#include "runtime/forwarder.hpp"
#include "runtime/frame.hpp"
#include "runtime/functions.hpp"
#include "runtime/handle_circles.hpp"
#include "runtime/last_word.hpp"
#include "runtime/names.hpp"
#include "runtime/network.hpp"
#include "runtime/options.hpp"
#include "runtime/output.hpp"
#include "runtime/peer.hpp"
#include "runtime/resources.hpp"
#include "runtime/stall_watch.hpp"
#include "runtime/streams.hpp"
#include "runtime/task_life.hpp"
#include "runtime/waits.hpp"
#include "worker/team.hpp"

namespace mobula::runtime {

/// How the driver ended.
struct DriverEnd {
    int code = 0;
    std::string reason;    ///< for the status file, where it did not just return
    std::string sentence;  ///< for people; said unless the job has ended before
};

/// One rank's engine: the parts and what passes between them. There is one in a process, made by
/// run(); the public templates reach it through current(). Thread-safe unless a member says
/// otherwise.
class Engine final : public worker::Delegate, public transport::Delegate, public TaskLife {
public:
    Engine(const Options& options, transport::Cluster& cluster, std::vector<Peer> peers,
           FunctionTable functions);
    ~Engine();

    /// Throws Error when there is none.
    [[nodiscard]] static Engine& current() {
        if (open_ == nullptr) throw_not_running();
        return *open_;
    }
    [[nodiscard]] static bool running() noexcept { return open_ != nullptr; }

    /// Runs until the driver has ended on rank 0; `driver` is empty on the others. Returns the exit
    /// code, which on rank 0 is in the status file by then. Thread-bound to the caller of the
    /// constructor.
    int run(const std::function<DriverEnd()>& driver);

    // ---- the life of a task, in this order ----

    /// Back-pressure, before a task is made: suspends a caller that submits faster than tasks end
    /// or ranks take what they are sent. Throws Cancelled.
    void pace();
    /// To be called after something was sent for the user's code: a thread of the user's own, which
    /// no task runs on, does not drive the network, and all others may sleep.
    void wake_for_own_thread() noexcept;
    /// Takes a call over from the user's code. Frees the task and throws on what can never be.
    void submit(Task& task, const TaskOptions* options);
    /// Its inputs exist: chooses where it runs.
    void place(Task& task);
    void run_here(Task& task) override;
    void enqueue(Task& task) override;
    void begin(Task& task) noexcept override { resources.begin(*task.extra); }
    void execute(Task& task) noexcept override;
    void retire(Task& task) noexcept override;
    void drop(Task& task) noexcept override {
        if (task.info->quiet || !Driving::now()) [[likely]]
            return graph::drop(task);
        drop_while_driving(task);
    }
    void fail(Task& task, const FailurePtr& failure) noexcept override;
    void fail_unsent(Task& task, Rank to, const FailurePtr& failure) noexcept override;
    [[nodiscard]] Lent sleeps(const Task& task) noexcept override;
    void goes_on(const Task& task, Lent lent) noexcept override;
    [[nodiscard]] TaskMark mark_of(const Task& task) const noexcept override;
    void wake_cancelled() noexcept override;
    void finish_result(Task& task, std::uint32_t number) noexcept;
    void cancel(Object& object, bool recursive);

    // ---- worker::Delegate ----
    bool poll() noexcept override;
    bool has_chores() noexcept override { return clerk.needs_help(); }
    void do_chores() noexcept override { clerk.help(); }
    void leave_chores() noexcept override { clerk.hurry(); }
    void flush() noexcept override;
    void sleep(Time deadline) noexcept override;
    void wake_sleeper() noexcept override;
    void tick(Time now) noexcept override;
    void idle() noexcept override;
    void look(Time now) noexcept override;

    // ---- transport::Delegate ----
    void on_record(Rank from, std::span<const std::byte> record) override;
    void on_peer_lost(Rank peer, std::string_view reason) override;
    void on_fenced(std::string_view reason) override;

    /// The job cannot go on: one rank prints the sentence, all ranks leave with the code.
    void end_job(const std::string& sentence, int code = 1) noexcept;
    [[nodiscard]] Rank self() const noexcept { return network.self(); }

    const Options options;
    Network network;
    std::vector<Peer> peers;
    FunctionTable functions;
    RoughClock clock;
    worker::Team team;
    Exchange exchange;
    ResourceGate resources;
    Waits waits;
    Forwarder forwarder;
    Dispatcher dispatcher;
    Streams streams;
    Names names;
    HandleCircles handle_circles;
    Actors actors;
    StallWatch stall_watch;
    LastWord last_word;
    Clerk clerk;  // the first to go, since it uses the others

private:
    static void want(Object& object, bool value, void* self);
    [[nodiscard]] std::function<void(const std::string&)> end_of_standstill();
    void drop_while_driving(Task& task) noexcept;
    [[noreturn]] static void throw_not_running();
    void follow_libraries();
    [[noreturn]] void leave(int code) noexcept;
    void handle(Rank from, wire::Kind kind, wire::RecordReader& reader);
    void run_user_code(Task& task, worker::Frame& frame, FailurePtr& failure) noexcept;
    void settle_output(Task& task, worker::Frame& frame) noexcept;
    [[nodiscard]] bool run_again(Task& task, const graph::Failure& failure);
    void apply_options(Task& task, const TaskOptions& options);

    void on_cancel_object(const wire::CancelObject& message);
    void on_finish(Rank from, const wire::Finish& message);
    [[noreturn]] static void end_forked_child() noexcept;
    static void close_in_child() noexcept;
    void finish_chores();
    void drain();
    void stop();

    static inline Engine* instance_ = nullptr;
    static inline Engine* open_ = nullptr;   ///< the same, but null in a forked child
    const graph::InputEvents exist_events_;  ///< of tasks that have no rank yet
    const graph::InputEvents here_events_;   ///< of tasks that run on this rank
    std::atomic<std::uint64_t> next_caller_{1};
    std::atomic<bool> finished_{false};  ///< the driver is done
    LinePrinter printer_;
    int code_ = 0;  ///< the driver's
};

}  // namespace mobula::runtime
