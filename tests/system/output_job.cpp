// SPDX-License-Identifier: Apache-2.0
// A job for output_test.py: all ranks print at once, on stdout whole lines and lines in halves.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <mobula/mobula.hpp>

namespace {

using namespace mobula;

/// Each line in two writes, between which the other ranks print theirs; the last has no end.
int print_halves(unsigned rank, int lines) {
    for (int i = 0; i < lines; ++i) {
        std::printf("halves of %u: line %d begins", rank, i);
        std::fflush(stdout);
        yield();
        std::printf(" and ends\n");
    }
    std::printf("halves of %u: no end", rank);
    std::fflush(stdout);
    return 0;
}

/// Long enough that buffers are full in the middle of lines.
int print_whole(unsigned rank, int lines) {
    const std::string filling(700, 'x');
    for (int i = 0; i < lines; ++i) {
        std::printf("whole of %u: line %d %s.\n", rank, i, filling.c_str());
    }
    return 0;
}

/// Past stdio, as a C library or a child process does.
int print_by_hand(unsigned rank) {
    const std::string line = "by hand of " + std::to_string(rank) + "\n";
    const bool all = write(1, line.data(), line.size()) == static_cast<ssize_t>(line.size());
    const std::string command = "echo child of " + std::to_string(rank);
    std::fprintf(stderr, "stderr of %u\n", rank);
    return all && std::system(command.c_str()) == 0 ? 0 : 1;
}

/// Not on rank 0 in halves: its stdout is the terminal itself.
int driver(Job& job) {
    const int lines = std::atoi(job.arguments.at(1).c_str());
    std::vector<Ref<int>> whole, halves;
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        const TaskOptions there{.placement = Placement::on_rank(rank)};
        whole.push_back(remote<print_whole>(there, rank, lines));
    }
    get(whole);
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        const TaskOptions there{.placement = Placement::on_rank(rank)};
        if (get(remote<print_by_hand>(there, rank)) != 0) return 1;
        if (rank != 0) halves.push_back(remote<print_halves>(there, rank, lines));
    }
    get(halves);
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
