// SPDX-License-Identifier: Apache-2.0

/// How a job ends, in order and otherwise, and how what it made is freed.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>

#include <fmt/format.h>

#include "base/fatal_signals.hpp"
#include "base/log.hpp"
#include "runtime/engine.hpp"
#include "runtime/running.hpp"
#include "runtime/signals.hpp"
#include "runtime/status.hpp"
#include "worker/thread_state.hpp"

namespace mobula::runtime {

using wire::Kind;
using wire::RecordWriter;

/// For tasks that run then for ever. A rank without such tasks waits as long for the others, and
/// has `more` time to say so and to end. Workers without tasks need a moment to end, whatever the
/// wait.
static void leave_when_over(const Engine& engine, int code, std::chrono::milliseconds more) {
    constexpr std::chrono::milliseconds least{500};
    const std::chrono::milliseconds wait(std::lround(engine.options.exit_wait_s * 1000));
    leave_after(std::max(wait, least) + more, code,
                fmt::format("mobula: rank {} abandons tasks that still ran {:g} s after the "
                            "driver's end (MOBULA_EXIT_WAIT_S)\n",
                            index(engine.self()), engine.options.exit_wait_s));
}

/// Nothing new begins; what waits is woken. User code that does not end is left behind.
void Engine::stop() {
    finished_.store(true);
    waits.end();
    team.stop();
    leave_when_over(*this, code_, std::chrono::milliseconds(0));
}

/// Where OpenMP or CUDA is in the process, what they keep per thread follows the tasks.
void Engine::follow_libraries() {
    namespace state = worker::thread_state;
    state::Libraries libraries = state::find_libraries(!peers[index(self())].gpus.empty());
    const bool openmp = libraries.omp_set_num_threads != nullptr;
    if (openmp && team.workers() > 1 && state::openmp_binds()) {
        log::warning(
            "OMP_PROC_BIND binds the OpenMP threads of all workers of a rank to the same "
            "CPUs; leave it unset or start a rank per worker");
    }
    if (!options.openmp_follows) libraries.omp_set_num_threads = nullptr;
    state::follow(libraries);
}

int Engine::run(const std::function<DriverEnd()>& driver) {
    std::function<void()> first;
    if (driver) {
        first = [&] {
            worker::Frame frame;
            frame.driver = true;
            worker::Team::frame() = &frame;
            const DriverEnd end = driver();
            worker::Team::frame() = nullptr;
            if (open_ == nullptr) end_forked_child();
            code_ = end.code;
            if (!last_word.close(code_, !end.sentence.empty())) LastWord::await();
            if (!end.sentence.empty()) std::fprintf(stderr, "%s\n", end.sentence.c_str());
            for (std::size_t i = 0; i < network.ranks(); ++i) {
                const auto rank = static_cast<Rank>(i);
                if (rank != self()) network.send(rank, wire::Finish{});
            }
            flush();
            write_status(options.status_file, code_, end.reason,
                         std::chrono::seconds(std::lround(std::ceil(options.exit_wait_s))));
            stop();
        };
    }
    follow_libraries();
    watch_signals();
    fatal::add_hook(&tell_full_stack);
    fatal::add_hook(&LastWord::tell_death);
    fatal::install();
    team.run(first);
    if (!last_word.begun()) leave_when_over(*this, code_, std::chrono::seconds(1));
    fatal::uninstall();
    unwatch_signals();
    drain();
    detail::keep_surroundings();
    return code_;
}

void Engine::on_finish(Rank from, const wire::Finish&) {
    if (from != driver_rank) throw Error("a rank without the driver says that it is done");
    stop();
}

void Engine::drop_while_driving(Task& task) noexcept {
    if (!holds_users_values(task)) return graph::drop(task);
    // Its results need not wait: a holder that finds itself alone may take a value out.
    if (!task.foreign) graph::drop_results(task);
    clerk.give([&task] { graph::drop(task); });
}

/// What came up while the network was driven. From then on nothing is given to the clerk: what may
/// still come only ends what is left, and nobody waits for this rank but with its end.
void Engine::finish_chores() {
    constexpr std::chrono::milliseconds between_looks{1};
    for (; !clerk.await_idle(between_looks); network.drive()) clerk.hurry();
    clerk.end();
}

/// Frees what is left: actors, and what was submitted and never ran.
void Engine::drain() {
    finish_chores();
    dispatcher.drain();
    const auto drop_tasks = [&] {
        while (Task* const task = team.take_any()) {
            if (task->foreign) dispatcher.foreign_ended(*task);
            graph::drop(*task);
        }
    };
    drop_tasks();  // first the ends of actors that nobody holds, with the handles that those hold
    actors.drain();
    drop_tasks();
    handle_circles.send();
}

void Engine::leave(int code) noexcept {
    forwarder.fall_back();
    transport::Cluster::abandon(code);
}

void Engine::on_peer_lost(Rank peer, std::string_view reason) {
    if (finished_.load() || team.stopping()) {
        log::debug("a rank left early while the job ends");
        return;
    }
    last_word.lose(peer, reason);
}

void Engine::on_fenced(std::string_view reason) {
    end_job("rank " + std::to_string(index(self())) + " on node " +
            network.cluster().host_names()[index(self())] + " was declared dead by the others (" +
            std::string(reason) + ")");
}

void Engine::end_job(const std::string& sentence, int code) noexcept {
    last_word.begin({sentence, code});
}

/// In the child of a fork, on its only thread. Nothing there may touch what the rank shares with
/// others: the child has no engine, cannot drive the network, and dies of signals as usual.
void Engine::close_in_child() noexcept {
    if (instance_ == nullptr) return;
    open_ = nullptr;
    instance_->exchange.close();
    if (!instance_->network.alone()) instance_->network.transport().forbid();
    fatal::uninstall();
    unwatch_signals();
}

void Engine::end_forked_child() noexcept {
    const worker::Frame* const frame = worker::Team::frame();
    const bool task = frame != nullptr && frame->task != nullptr;
    std::fprintf(stderr,
                 "mobula: a process that was forked in %s is no rank of the job: it must end by "
                 "_exit() or exec(), but it came back to the engine, and ends with exit code 1\n",
                 task ? graph::name_of(*frame->task).c_str() : "the driver");
    _exit(1);
}

}  // namespace mobula::runtime
