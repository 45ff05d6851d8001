// SPDX-License-Identifier: Apache-2.0
// What slurm/run sees of an engine's program: the ranks meet, rank 0 writes what the others say and
// the status file. The first word of the command line says how the run shall go.
#include <sched.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

#include "native/mpi.hpp"

namespace {

void tell(int code, const char* more = "") {
    if (FILE* file = std::fopen(std::getenv("MOBULA_STATUS_FILE"), "w")) {
        std::fprintf(file, "exit %d\n%s", code, more);
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
    mobula::native::MpiSession mpi(&argc, &argv);
    const unsigned rank = index(mpi.self());
    const std::size_t ranks = mpi.ranks();
    cpu_set_t cpus;
    sched_getaffinity(0, sizeof cpus, &cpus);
    const char* workers = std::getenv("MOBULA_WORKERS");
    std::array<char, 64> host{};
    gethostname(host.data(), host.size() - 1);
    const std::string line = "rank " + std::to_string(rank) + " of " + std::to_string(ranks) +
                             ", " + std::to_string(CPU_COUNT(&cpus)) + " cpus, workers " +
                             (workers != nullptr ? workers : "-") + ", on " + host.data() + "\n";

    const std::string how = argc > 1 ? argv[1] : "code";
    const int code = argc > 2 ? std::atoi(argv[2]) : 0;
    // Launchers promise nothing about the order of lines of several ranks, so rank 0 writes them
    // all, as it does for tasks; unless it is asked where each rank's own output goes.
    const auto lines = mpi.allgather(std::as_bytes(std::span(line)));
    if (how == "each") {
        std::fputs(line.c_str(), stdout);
    } else if (rank == 0) {
        for (const auto& each : lines) std::fwrite(each.data(), 1, each.size(), stdout);
    }
    std::fflush(stdout);

    if (how == "silent") {
        mpi.finalize();
        return 0;
    }
    if (how == "wait") {
        for (;;) pause();
    }
    if (how == "kill" && rank == ranks - 1) std::raise(SIGKILL);
    if (rank == 0) {
        std::printf("last line\n");
        std::fflush(stdout);
        tell(code, how == "late" ? "waits 20\n" : "");
    }
    if (how == "late" && rank == ranks - 1) {  // a task of five seconds
        sleep(5);
        std::printf("late word\n");
    }
    if (how == "kill") _exit(code);
    mpi.finalize();
    // After the job has ended well, as main() may after mobula::run.
    if (how == "after " + std::to_string(rank)) std::raise(SIGKILL);
    if (how == "after code") return rank == 0 ? code : 3;
    return code;
}
