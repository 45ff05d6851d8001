// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <mobula/options.hpp>

#include "base/log.hpp"

namespace mobula::runtime {

/// Every setting of the engine. Each is read once, at the start, from the environment variable
/// MOBULA_<NAME> and then from the argument --mobula-<name>=<value>, which wins. Besides, only
/// launchers and UCX are asked through the environment. A value, reentrant.
struct Options {
    // ---- the rank ----

    /// Threads that run tasks. 0: the CPUs that this rank is bound to, shared evenly with the
    /// ranks of its node that are bound to the same ones. More than CPUs: they take turns.
    unsigned workers = 0;
    /// On rank 0: the driver has a worker of its own, beside those that run tasks. It goes on as
    /// soon as what it waits for is there, which else is after the task that its worker has begun
    /// meanwhile.
    bool driver_alone = false;
    /// GPUs of this rank. -1: those that CUDA_VISIBLE_DEVICES or Slurm gave it.
    std::int64_t gpus = -1;
    /// What this rank has beyond CPUs and GPUs, as "accel=1,disk=2.5". Tasks that ask for more
    /// than any rank has are Infeasible.
    Resources resources = {};
    /// Bytes of stack of the driver and of every task, on each thread and rank alike. A task that
    /// needs more ends the job with a sentence that names it. Only what was touched takes memory;
    /// address space is taken for each task that waits.
    std::size_t stack_bytes = std::size_t{8} << 20U;
    /// Tasks that wait at once on one worker. Beyond it a task that would wait fails instead. Two
    /// memory mappings each, of which Linux grants 65530 to a process by default.
    std::size_t suspended_max = 30000;
    /// Microseconds for which an idle worker looks for work before it sleeps. More answers sooner,
    /// and takes CPU from others. -1: by measurement, and 0 where ranks share CPUs.
    std::int64_t spin_us = -1;

    /// A task begins with as many OpenMP threads as it has CPUs. Off: with what its thread has.
    bool openmp_follows = true;

    // ---- objects ----

    /// Bytes of memory for large objects; taken when used. Full: put() throws StoreFull. 0: 30 % of
    /// the node's memory (or the job's part of it), divided by the ranks of the node.
    std::size_t arena_bytes = 0;
    /// The largest value that travels inside a message. Larger ones are fetched when they are
    /// needed, which costs a round trip and spares those who do not need them.
    std::size_t inline_bytes = 4096;
    static constexpr std::size_t inline_bytes_max = 32768;
    /// A task with at least so many bytes of inputs on one rank goes there; with less it goes where
    /// the load is least.
    std::size_t locality_bytes = std::size_t{64} << 10U;

    /// Bytes from which arguments by value are looked at: the engine warns once of a function that
    /// gets the same ones again and again. 0: never.
    std::size_t large_value_bytes = std::size_t{1} << 20U;

    // ---- between ranks ----

    /// Microseconds of work that are kept queued ahead at another rank, so that it need not wait
    /// for more. Too few and it idles for a round trip, too many and the load is uneven at the end.
    std::int64_t window_us = 200;
    /// Bytes that may wait in this rank's memory for one other rank before submission slows down.
    std::size_t backlog_bytes = std::size_t{64} << 20U;
    /// Tasks that this rank has submitted, or got from others, and that are not over: beyond it
    /// submission waits. Each takes up to 256 bytes beyond its arguments.
    std::size_t pending_max = 8'000'000;
    /// Milliseconds between signs of life.
    std::int64_t heartbeat_ms = 200;
    /// Milliseconds of silence after which a rank is declared dead. Too few, and a rank that was
    /// only slow is shut out; at least two heartbeats.
    std::int64_t dead_after_ms = 2000;
    /// How large objects move, for tests: "map", "get" or "push". Empty: the best way per peer.
    std::string verb = {};

    // ---- what people see ----

    /// Messages below this level are not written.
    log::Level log_level = log::Level::warning;
    /// Seconds without any progress after which the graph of who waits for whom is printed. 0:
    /// never.
    double stall_seconds = 30;
    /// Ends the job after that print with exit code 1.
    bool stall_abort = false;
    /// Brings what tasks print to stdout on other ranks to the driver's terminal, line by line and
    /// with the rank in front. Off: it goes where the launcher puts it, as stderr always does: what
    /// a rank says there when it dies, nobody could pass on any more.
    bool forward_output = true;
    /// A file in which the driver's rank leaves "exit <code>" at the end. Empty: none.
    std::string status_file = {};
    /// Seconds that a rank waits at the start for the others to call run(); then the job ends, and
    /// names the missing ones. 0: for ever.
    double start_within_s = 120;
    /// Seconds that the ranks give each other to end in good order; then they leave without.
    double exit_wait_s = 10;

    /// --mobula-help was given: print help() and end.
    bool help_wanted = false;

    /// Reads the environment and the arguments, and takes the engine's own out of argv, up to an
    /// argument "--". Throws BadInput, with one sentence that names what is wrong and what is
    /// allowed, for unknown names, bad values and values out of range.
    [[nodiscard]] static Options read(int& argc, char** argv);
    /// The same of an environment of "NAME=value" lines. Pure.
    [[nodiscard]] static Options parse(std::vector<std::string>& arguments,
                                       std::span<const std::string> environment);

    /// All settings with unit, default, range and meaning; what --mobula-help prints.
    [[nodiscard]] static std::string help();
    /// One line per setting: its value and where it came from.
    [[nodiscard]] std::string effective() const;

    /// Where the value of a setting came from, by name; those not in here have their defaults.
    std::map<std::string, std::string, std::less<>> origins = {};
};

}  // namespace mobula::runtime
