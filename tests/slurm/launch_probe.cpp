// SPDX-License-Identifier: Apache-2.0
// What slurm/run sees of an engine's program: rank 0 writes the status file. The first word of the
// command line says how the run shall go.
#include <mpi.h>
#include <sched.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

void tell(int code) {
    if (FILE* file = std::fopen(std::getenv("MOBULA_STATUS_FILE"), "w")) {
        std::fprintf(file, "exit %d\n", code);
        std::fclose(file);
    }
}

void stopped(int signal) {
    tell(128 + signal);
    _exit(128 + signal);
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGTERM, stopped);
    MPI_Init(&argc, &argv);
    int rank = 0;
    int ranks = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    cpu_set_t cpus;
    sched_getaffinity(0, sizeof cpus, &cpus);
    const char* workers = std::getenv("MOBULA_WORKERS");
    std::printf("rank %d of %d, %d cpus, workers %s\n", rank, ranks, CPU_COUNT(&cpus),
                workers != nullptr ? workers : "-");
    std::fflush(stdout);
    MPI_Barrier(MPI_COMM_WORLD);

    const std::string how = argc > 1 ? argv[1] : "code";
    const int code = argc > 2 ? std::atoi(argv[2]) : 0;
    if (how == "silent") {
        MPI_Finalize();
        return 0;
    }
    if (how == "wait") {
        for (;;) pause();
    }
    if (how == "kill" && rank == ranks - 1) std::raise(SIGKILL);
    if (rank == 0) {
        usleep(200'000);  // so that the others' lines are printed before the last one
        std::printf("last line\n");
        std::fflush(stdout);
        tell(code);
    }
    if (how == "kill") _exit(code);
    MPI_Finalize();
    return code;
}
