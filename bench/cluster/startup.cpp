// SPDX-License-Identifier: Apache-2.0

/// Where the time of a job's start goes. bench/cluster/startup runs it and tells it the time of the
/// launch as seconds since 1970. With `parts` every rank does by hand, one after the other, what
/// the engine does at the start; with `engine` the engine starts and its driver tells the time.
/// Rank 0 prints one line of JSON.

#include <mpi.h>
#include <ucp/api/ucp.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <mobula/mobula.hpp>

namespace {

constexpr std::size_t address_bytes = 512;  // what a rank tells the others when they meet

double now() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

int driver(mobula::Job& job) {
    std::printf("{\"ranks\": %u, \"engine\": %.4f}\n", job.ranks,
                now() - std::strtod(job.arguments[2].c_str(), nullptr));
    return 0;
}

void must(ucs_status_t status) {
    if (status != UCS_OK) {
        std::fprintf(stderr, "startup: %s\n", ucs_status_string(status));
        std::exit(1);
    }
}

int parts(int argc, char** argv) {
    // What lies between two marks is a part; the slowest rank counts.
    std::vector<double> marks{std::strtod(argv[2], nullptr), now()};
    int provided = 0;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided);
    marks.push_back(now());

    ucp_config_t* config = nullptr;
    must(ucp_config_read(nullptr, nullptr, &config));
    ucp_params_t params{};
    params.field_mask = UCP_PARAM_FIELD_FEATURES;
    params.features = UCP_FEATURE_AM | UCP_FEATURE_TAG | UCP_FEATURE_RMA | UCP_FEATURE_WAKEUP;
    ucp_context_h context = nullptr;
    must(ucp_init(&params, config, &context));
    ucp_config_release(config);
    ucp_worker_params_t worker_params{};
    ucp_worker_h worker = nullptr;
    must(ucp_worker_create(context, &worker_params, &worker));
    marks.push_back(now());

    int rank = 0;
    int ranks = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const std::vector<char> mine(address_bytes);
    std::vector<char> all(address_bytes * static_cast<std::size_t>(ranks));
    MPI_Barrier(MPI_COMM_WORLD);  // whoever is late in the part before is not slow in this one
    marks.push_back(now());
    MPI_Allgather(mine.data(), address_bytes, MPI_CHAR, all.data(), address_bytes, MPI_CHAR,
                  MPI_COMM_WORLD);
    marks.push_back(now());

    std::vector<double> spans;
    for (std::size_t i = 1; i < marks.size(); ++i) spans.push_back(marks[i] - marks[i - 1]);
    std::vector<double> slowest(spans.size());
    MPI_Reduce(spans.data(), slowest.data(), static_cast<int>(spans.size()), MPI_DOUBLE, MPI_MAX, 0,
               MPI_COMM_WORLD);
    if (rank == 0) {
        std::printf(
            "{\"ranks\": %d, \"launch\": %.4f, \"mpi_init\": %.4f, \"ucx_init\": %.4f, "
            "\"wait\": %.4f, \"allgather\": %.4f}\n",
            ranks, slowest[0], slowest[1], slowest[2], slowest[3], slowest[4]);
        std::fflush(stdout);
    }
    ucp_worker_destroy(worker);
    ucp_cleanup(context);
    MPI_Finalize();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: startup parts|engine SECONDS-SINCE-1970\n");
        return 2;
    }
    return std::string(argv[1]) == "parts" ? parts(argc, argv) : mobula::run(argc, argv, driver);
}
