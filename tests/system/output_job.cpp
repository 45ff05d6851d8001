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

// ---- what was waited for comes before what the driver prints after it ----

int print_step(int step, const std::string& how) {
    const std::string line = how + " " + std::to_string(step);
    if (how == "child") return std::system(("echo " + line).c_str());
    std::printf("%s\n", line.c_str());
    if (how == "thrown") throw Error("a task that prints and throws");
    return 0;
}

TaskOptions on(unsigned rank) { return {.placement = Placement::on_rank(rank % ranks())}; }

/// The printing task's result does not go to the driver's rank.
int print_beyond(int step) { return get(remote<print_step>(on(rank() + 1), step, "beyond")); }

/// Others learn of a failure that is not theirs.
Ref<int> throw_beyond(int step) { return remote<print_step>(on(rank()), step, "thrown"); }

Generator<int> print_items(int step) {
    for (int item = 0; item < 2; ++item) {
        std::printf("item %d\n", step + item);
        co_yield item;
    }
}

struct Printer {
    int print(int step) const { return print_step(step, "actor"); }
};

void in_order(int steps) {
    for (int step = 0; step < steps; step += 7) {
        const unsigned there = static_cast<unsigned>(step / 7);
        const auto say = [&](int after) {
            std::printf("driver %d\n", step + after);
            std::fflush(stdout);
        };
        get(remote<print_step>(on(there), step, "task"));
        say(0);
        try {
            get(remote<print_step>(on(there), step + 1, "thrown"));
        } catch (const TaskError&) {
            say(1);
        }
        get(remote<print_beyond>(on(there), step + 2));
        say(2);
        get(spawn<Printer>({.placement = Placement::on_rank(there % ranks())})
                .call<&Printer::print>(step + 3));
        say(3);
        Stream<int> items = remote<print_items>(on(there), step + 4);
        for (int item = 0; item < 2; ++item) {
            get(*items.next());
            say(4 + item);
        }
        try {
            get(get(remote<throw_beyond>(on(there), step + 6)));
        } catch (const TaskError&) {
            say(6);
        }
        if (step == 0) {
            get(remote<print_step>(on(there + 1), step, "child"));
            say(0);
        }
    }
}

/// Not on rank 0 in halves: its stdout is the terminal itself.
int driver(Job& job) {
    const int lines = std::atoi(job.arguments.at(1).c_str());
    if (job.arguments.size() > 2) {
        in_order(lines);
        return 0;
    }
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
