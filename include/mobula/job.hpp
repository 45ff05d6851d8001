// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <mobula/detail/engine.hpp>

namespace mobula {

/// The job as the driver sees it.
struct Job {
    /// The program's arguments without the engine's own (--mobula-...), the program's name first.
    std::vector<std::string> arguments;
    unsigned ranks = 1;
    unsigned nodes = 1;
};

/// Counts of the calling rank since its start. Bytes count where they arrive; blocks that are
/// mapped from another rank of the same node do not move and do not count.
struct Statistics {
    std::uint64_t tasks_run = 0;       ///< on this rank, submitted by any rank; also actors' calls
    std::uint64_t tasks_sent = 0;      ///< to other ranks
    std::uint64_t tasks_received = 0;  ///< from other ranks
    std::uint64_t values_mapped = 0;   ///< blocks that are read where they lie
    std::uint64_t bytes_fetched = 0;   ///< of large objects
    std::uint64_t bytes_received = 0;  ///< of messages, which also carry small values
    std::uint64_t bytes_sent = 0;
    std::uint64_t messages_received = 0;
    std::uint64_t messages_sent = 0;
    std::uint64_t messages_refused = 0;  ///< not of this job: they did not carry its token
};

/// Needs a running engine; thread-safe. A task on another rank returns the counts of that rank.
[[nodiscard]] Statistics statistics();

/// Runs the engine on every rank of the job, and `driver` on rank 0 like a task; returns when the
/// job is over. The return value of main: on rank 0 the driver's, 1 after an exception, 2 after
/// BadInput; elsewhere 0, 1 when a rank died, or 2 for bad settings. Call it once, from main: a
/// second call is refused with a sentence and 2, one inside of a job throws BadInput. Takes the
/// engine's own arguments out of argv, which then ends earlier with its null pointer: look at
/// Job::arguments, or at argv up to that, and not at argc.
int run(int argc, char** argv, int (*driver)(Job&));

/// The calling rank, 0 .. ranks()-1; rank 0 runs the driver. After mobula::run this and the other
/// numbers of ranks, nodes and workers stay as they were; before it there is one rank.
[[nodiscard]] inline unsigned rank() noexcept { return detail::surroundings().rank; }
[[nodiscard]] inline unsigned ranks() noexcept { return detail::surroundings().ranks; }
/// The node of the calling rank, 0 .. nodes()-1; ranks of one node share memory.
[[nodiscard]] inline unsigned node() noexcept { return detail::surroundings().node; }
[[nodiscard]] inline unsigned nodes() noexcept { return detail::surroundings().nodes; }
/// The worker (thread) that runs the calling task, 0 .. workers()-1 on its rank.
/// The driver, where it has a worker of its own (MOBULA_DRIVER_ALONE), has workers() there.
[[nodiscard]] inline unsigned worker_id() noexcept { return detail::surroundings().worker; }
[[nodiscard]] inline unsigned workers() noexcept { return detail::surroundings().workers; }
/// The GPUs assigned to the calling task or actor, as CUDA device numbers of its rank.
[[nodiscard]] inline std::vector<unsigned> gpus() { return detail::task_gpus(); }
/// Whether the calling task was cancelled; a task that computes for long should look now and then.
[[nodiscard]] inline bool cancelled() noexcept { return detail::task_cancelled(); }
/// Lets other ready tasks of this worker run; throws Cancelled when the calling task was cancelled.
inline void yield() { detail::yield_worker(); }

}  // namespace mobula
