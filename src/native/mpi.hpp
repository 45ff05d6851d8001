// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/ids.hpp"

namespace mobula::native {

/// The job as MPI sees it; used to meet and for nothing else. Everything goes over an own duplicate
/// of MPI_COMM_WORLD, so that the user's traffic and ours never mix.
///
/// *Thread-bound* to the thread that made it. Starts MPI with MPI_THREAD_SERIALIZED unless the
/// program has started it already; then the program also ends it. Works under mpirun, under
/// `srun --mpi=pmix`, and alone as a job of one rank. An error of MPI throws std::runtime_error.
///
/// Once a rank has died no call of MPI is safe: neither finalize() nor anything of MPI may be
/// called, and the process must leave by `_exit`. That is why the destructor does nothing.
class MpiSession {
public:
    MpiSession(int* argc, char*** argv);
    ~MpiSession() = default;
    MpiSession(const MpiSession&) = delete;
    MpiSession& operator=(const MpiSession&) = delete;

    [[nodiscard]] Rank self() const noexcept { return self_; }
    [[nodiscard]] std::size_t ranks() const noexcept { return nodes_.size(); }

    /// The node of each rank; nodes are numbered in the order of their first rank.
    [[nodiscard]] const std::vector<Node>& nodes() const noexcept { return nodes_; }

    /// Collective: gives every rank's bytes to every rank. The lengths may differ.
    [[nodiscard]] std::vector<std::vector<std::byte>> allgather(std::span<const std::byte> mine);

    /// The clean end, when every rank is alive; collective. Where the program has started MPI
    /// itself this only gives the duplicate back.
    void finalize();

private:
    void find_nodes();

    bool started_here_ = false;
    Rank self_{};
    std::vector<Node> nodes_;
};

/// The library's first line about itself, for `mobula doctor`. *Thread-safe*.
[[nodiscard]] std::string mpi_version();

}  // namespace mobula::native
