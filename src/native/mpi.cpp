// SPDX-License-Identifier: Apache-2.0
#include "native/mpi.hpp"

#include <cstdlib>
#include <limits>
#include <stdexcept>

#include <mpi.h>

#include "native/ucp.hpp"

namespace mobula::native {

namespace {

// One per process, as MPI itself is; kept out of the header so that <mpi.h> stays in this file.
MPI_Comm own_world = MPI_COMM_NULL;

void must(int code, const char* call) {
    if (code == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING] = {};
    int length = 0;
    MPI_Error_string(code, text, &length);
    throw std::runtime_error(std::string(call) + " failed: " + text);
}

int count_of(std::size_t n) {
    if (n > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
        throw std::runtime_error("the ranks' hellos are larger than 2 GiB together");
    }
    return static_cast<int>(n);
}

/// False only when this is certain, and on all ranks the same.
bool several_nodes() {
    const auto text = [](const char* name) {
        const char* const value = std::getenv(name);
        return std::string(value != nullptr ? value : "");
    };
    // Of mpirun's ranks; what Slurm says there is about the step of mpirun's daemons.
    const std::string ranks = text("OMPI_COMM_WORLD_SIZE");
    if (!ranks.empty()) return ranks != text("OMPI_COMM_WORLD_LOCAL_SIZE");
    const std::string nodes = text("SLURM_STEP_NUM_NODES");
    // In a heterogeneous job each part is told its own number.
    return !nodes.empty() && (nodes != "1" || !text("SLURM_HET_SIZE").empty());
}

/// Lets Open MPI talk over UCX between nodes where it can. Its own way over TCP takes a message
/// that comes while this rank is still inside MPI_Init to a handler that is not there yet, and
/// jumps to address 0 (mca_btl_tcp of 4.1, one start in twenty under srun on busy nodes); UCX keeps
/// such a message. What the environment says of these wins.
void prefer_ucx() {
    set_ucx_environment(true);
    // Left alone it takes UCX for fast networks only.
    setenv("OMPI_MCA_opal_common_ucx_tls", "any", 0);
    setenv("OMPI_MCA_opal_common_ucx_devices", "any", 0);
    // Distributions leave UCX out by ^ucx. A list that leaves out something else undoes that and,
    // unlike UCX's name, does not fail where Open MPI was built without it; cm is the way to yet
    // other libraries of networks.
    setenv("OMPI_MCA_pml", "^cm", 0);
    // At the end a rank that closed its connections first is an "Error" to a slower one over TCP.
    setenv("OMPI_MCA_opal_common_ucx_verbose", "-1", 0);
}

}  // namespace

MpiSession::MpiSession(int* argc, char*** argv) {
    int running = 0;
    must(MPI_Initialized(&running), "MPI_Initialized");
    if (running == 0) {
        const bool over_ucx = several_nodes();
        if (over_ucx) prefer_ucx();
        // As in UcpContext: nobody else may open what MPI's UCX shares on a node. Ours, and
        // programs that the job starts, choose by themselves.
        const bool chosen = !over_ucx || std::getenv("UCX_TLS") != nullptr;
        if (!chosen) setenv("UCX_TLS", "^sysv", 0);
        int provided = 0;
        must(MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
        if (!chosen) unsetenv("UCX_TLS");
        if (provided < MPI_THREAD_FUNNELED) {
            throw std::runtime_error("this MPI library does not support threads at all");
        }
        started_here_ = true;
    }
    must(MPI_Comm_dup(MPI_COMM_WORLD, &own_world), "MPI_Comm_dup");
    must(MPI_Comm_set_errhandler(own_world, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    int rank = 0;
    int ranks = 0;
    must(MPI_Comm_rank(own_world, &rank), "MPI_Comm_rank");
    must(MPI_Comm_size(own_world, &ranks), "MPI_Comm_size");
    self_ = Rank{static_cast<std::uint32_t>(rank)};
    nodes_.resize(static_cast<std::size_t>(ranks));
    find_nodes();
}

void MpiSession::find_nodes() {
    MPI_Comm shared = MPI_COMM_NULL;
    const int rank = static_cast<int>(index(self_));
    must(MPI_Comm_split_type(own_world, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &shared),
         "MPI_Comm_split_type");
    int first_rank_of_node = rank;
    must(MPI_Bcast(&first_rank_of_node, 1, MPI_INT, 0, shared), "MPI_Bcast");
    must(MPI_Comm_free(&shared), "MPI_Comm_free");
    std::vector<int> first_ranks(ranks());
    must(MPI_Allgather(&first_rank_of_node, 1, MPI_INT, first_ranks.data(), 1, MPI_INT, own_world),
         "MPI_Allgather");
    // A node's first rank stands before its others, so its number is known when they ask.
    std::uint32_t nodes = 0;
    for (std::size_t r = 0; r < ranks(); ++r) {
        const auto first = static_cast<std::size_t>(first_ranks[r]);
        nodes_[r] = first == r ? Node{nodes++} : nodes_[first];
    }
}

std::vector<std::vector<std::byte>> MpiSession::allgather(std::span<const std::byte> mine) {
    std::vector<int> counts(ranks());
    const int my_count = count_of(mine.size());
    must(MPI_Allgather(&my_count, 1, MPI_INT, counts.data(), 1, MPI_INT, own_world),
         "MPI_Allgather");
    std::vector<int> starts(ranks());
    std::size_t total = 0;
    for (std::size_t r = 0; r < ranks(); ++r) {
        starts[r] = count_of(total);
        total += static_cast<std::size_t>(counts[r]);
    }
    (void)count_of(total);
    std::vector<std::byte> all(total);
    must(MPI_Allgatherv(mine.data(), my_count, MPI_BYTE, all.data(), counts.data(), starts.data(),
                        MPI_BYTE, own_world),
         "MPI_Allgatherv");
    std::vector<std::vector<std::byte>> parts(ranks());
    for (std::size_t r = 0; r < ranks(); ++r) {
        const auto begin = all.begin() + starts[r];
        parts[r].assign(begin, begin + counts[r]);
    }
    return parts;
}

void MpiSession::finalize() {
    int ended = 0;
    must(MPI_Finalized(&ended), "MPI_Finalized");
    if (ended != 0) return;
    if (own_world != MPI_COMM_NULL) must(MPI_Comm_free(&own_world), "MPI_Comm_free");
    if (!started_here_) return;
    silence_ucx();  // as prefer_ucx() does Open MPI, which ignores these errors
    must(MPI_Finalize(), "MPI_Finalize");
}

std::string mpi_version() {
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
    int length = 0;
    MPI_Get_library_version(text, &length);
    // Some libraries count the end of the text in `length`; what follows name and number is noise.
    const std::string line(text);
    return line.substr(0, line.find_first_of(",\n"));
}

}  // namespace mobula::native
