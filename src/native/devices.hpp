// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"

namespace mobula::native {

/// A GPU that CUDA shows to this process.
struct Gpu {
    unsigned number = 0;   ///< by which CUDA knows it here
    std::string identity;  ///< by which two processes of a node see that they have the same one

    friend bool operator==(const Gpu&, const Gpu&) = default;
};

/// What the launcher, Slurm and the system let this process use. A value; *reentrant*.
struct Devices {
    std::vector<unsigned> cpus;       ///< those in the affinity mask, in ascending order
    std::optional<double> cpu_quota;  ///< CPUs' worth of time that the cgroup grants at most
    std::vector<Gpu> gpus;
    std::uint64_t memory_bytes = 0;  ///< of the machine, or the least of what limits it
    unsigned ranks_on_node = 1;      ///< as the launcher says; it may say nothing

    /// As text without line ends, for other ranks.
    [[nodiscard]] std::string encode() const;
    /// Throws std::invalid_argument for what encode() never writes.
    [[nodiscard]] static Devices decode(std::string_view text);
    friend bool operator==(const Devices&, const Devices&) = default;
};

/// Asks the system, the environment and, where there is one, NVIDIA's driver. Never throws for what
/// it cannot read: that does not limit.
[[nodiscard]] Devices devices_of_process();

/// 30 % of the memory, divided by the ranks of the node, in whole MiB.
[[nodiscard]] std::uint64_t default_arena_bytes(const Devices& devices) noexcept;

/// What is left for one rank after all ranks of its node took their parts.
struct Share {
    unsigned workers = 1;
    bool crowded = false;        ///< the workers of the node's ranks are more than its CPUs
    double workers_per_cpu = 0;  ///< of the whole node
    std::vector<unsigned> gpus;  ///< CUDA's numbers on this rank
};

/// Divides what ranks of one node were both given: ranks with the same CPUs take even parts of
/// them, and of GPUs with the same identity each goes to one rank. `wanted_workers` says per rank
/// how many workers the user wants, 0 for as many as CPUs. All ranks come to the same result. Pure.
[[nodiscard]] std::vector<Share> share_devices(std::span<const Devices> ranks,
                                               std::span<const Node> nodes,
                                               std::span<const unsigned> wanted_workers);

/// Ranks of one node each of which has CPUs that another one of them has too.
struct SharedCpus {
    std::vector<std::size_t> ranks;  ///< ascending
    std::vector<unsigned> cpus;      ///< ascending
};
/// One entry per node where there are such ranks, in the order of their first ranks. Pure.
[[nodiscard]] std::vector<SharedCpus> shared_cpus(std::span<const Devices> ranks,
                                                  std::span<const Node> nodes);

// ---- the pure parts of devices_of_process(), for tests ----

struct CgroupLimits {
    std::optional<double> cpus;
    std::optional<std::uint64_t> memory_bytes;
};

/// The least limits of the process's cgroups and of all above them. `membership` is the text of
/// /proc/self/cgroup, `root` where the cgroups are mounted; versions 1 and 2.
[[nodiscard]] CgroupLimits cgroup_limits(std::string_view membership,
                                         const std::filesystem::path& root);

/// An environment: the value of a variable, or nothing.
using Lookup = std::function<std::optional<std::string>(const char* name)>;

/// The GPUs by CUDA_VISIBLE_DEVICES, else SLURM_STEP_GPUS, else SLURM_JOB_GPUS, else all that the
/// driver has. `driver` has the driver's names of the GPUs by number, nothing without a driver.
[[nodiscard]] std::vector<Gpu> visible_gpus(const Lookup& environment,
                                            const std::optional<std::vector<std::string>>& driver);

/// The ranks on this node by Open MPI's, MPICH's or Slurm's variables; 1 if none is set.
[[nodiscard]] unsigned ranks_on_node(const Lookup& environment);

/// What Slurm gave the job on this node: SLURM_MEM_PER_NODE, or SLURM_MEM_PER_CPU for each of its
/// CPUs; nothing if it does not say.
[[nodiscard]] std::optional<std::uint64_t> slurm_memory_bytes(const Lookup& environment);

}  // namespace mobula::native
