// SPDX-License-Identifier: Apache-2.0
// A job for ends.py: takes all ranks into use, says on stdout which processes they are, and then
// ends, or does not, in the way that the first argument names.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <mobula/mobula.hpp>

namespace {

using namespace mobula;

int forever() {
    for (;;) mobula::yield();
}
std::atomic<unsigned> deaf_begun{0};
void note_deaf() { ++deaf_begun; }
/// Gives way to nobody and listens to nobody.
int deaf() {
    remote<note_deaf>({.placement = Placement::on_rank(0)});
    static volatile bool go_on = true;
    while (go_on) {
    }
    return 0;
}
int after(int n) { return n; }
int wait_for(Ref<int> ref) { return get(ref); }
int process() { return getpid(); }
Array<char> bytes() { return Array<char>({3'000'000}); }
Array<char> many_bytes() { return Array<char>({8'000'000}); }

struct Waiter {
    int nothing() { return 0; }
    int twice(int n) { return 2 * n; }
    int wait(Ref<int> ref) { return get(ref); }
    /// Waits for the other, which is asked to wait for this one.
    int call_and_wait(Actor<Waiter> other, Actor<Waiter> self, int times) {
        if (times == 0) return 0;
        return get(other.call<&Waiter::call_and_wait>(self, other, times - 1));
    }
};

/// Holds handles of others for as long as it lives.
struct Holder {
    int hold(Actor<Holder> other) {
        held.push_back(std::move(other));
        return 0;
    }
    std::vector<Actor<Holder>> held;
};
/// Two that hold each other's handles, one that they hold, and one that holds one of them.
int hold_in_a_circle(unsigned ranks) {
    const auto at = [&](unsigned rank, const char* name) {
        return spawn<Holder>({.name = name, .placement = Placement::on_rank(rank % ranks)});
    };
    const auto one = at(0, "one"), other = at(1, "other"), leaf = at(1, "leaf"),
               root = at(0, "root");
    get(one.call<&Holder::hold>(other));
    get(other.call<&Holder::hold>(one));
    get(one.call<&Holder::hold>(leaf));
    return get(root.call<&Holder::hold>(other));
}

/// To a pipe that nobody reads.
void write_in_vain() {
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) return;
    close(ends[0]);
    static_cast<void>(!write(ends[1], "x", 1));
}

/// More than the rank may have: see start_deaths.py.
void fill_memory() {
    std::vector<std::vector<char>> blocks;
    while (blocks.size() < 2000) blocks.emplace_back(1'000'000, 'x');
}

std::string long_word() { return std::string(5000, 'x'); }

/// Leaves no file to open, and talks to the others until UCX needs one.
void open_all_files() {
    while (dup(STDERR_FILENO) >= 0) {
    }
    for (;;) {
        std::vector<Ref<std::string>> words;
        for (unsigned i = 0; i < 100; ++i) {
            words.push_back(remote<long_word>({.placement = Placement::on_rank(i % ranks())}));
        }
        get(words);
    }
}

/// Leaves no byte in /dev/shm, of which there is little: see start_deaths.py.
void fill_shm() {
    std::FILE* const file = std::fopen("/dev/shm/mobula-fill", "w");
    if (file == nullptr) return;
    std::setbuf(file, nullptr);
    const std::string some(4096, 'x');
    while (std::fwrite(some.data(), 1, some.size(), file) == some.size()) {
    }
    std::fclose(file);
}

/// Brings bytes from rank 1 without end, several transfers at a time.
int bring_for_ever() {
    const TaskOptions there{.placement = Placement::on_rank(1)};
    std::vector<Ref<Array<char>>> under_way;
    for (;;) {
        for (int n = 0; n < 4; ++n) under_way.push_back(remote<many_bytes>(there));
        for (const auto& array : under_way) static_cast<void>(view(array));
        under_way.clear();
    }
}

/// How a rank may die in a task.
int die(std::string how) {
    if (how == "segv") std::raise(SIGSEGV);
    if (how == "abort") std::abort();
    if (how == "exit") std::exit(3);
    if (how == "_exit") ::_exit(7);
    if (how == "kill") std::raise(SIGKILL);
    if (how == "pipe") write_in_vain();
    if (how == "memory") fill_memory();
    if (how == "files") open_all_files();
    if (how == "thread") std::thread([] { throw std::runtime_error("nobody catches it"); }).join();
    return 0;
}

/// The child comes back from the task that forked it; gives its exit code.
int fork_in_a_task() {
    const pid_t child = fork();
    if (child == 0) return 0;
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/// Tasks that run, wait and are queued, actors and objects, on every rank.
struct Load {
    std::vector<Ref<int>> tasks;
    std::vector<Ref<Array<char>>> objects;
    std::vector<Actor<Waiter>> actors;

    void add(unsigned rank) {
        const TaskOptions here{.placement = Placement::on_rank(rank)};
        for (int i = 0; i < 4; ++i) tasks.push_back(remote<forever>(here));
        for (int i = 0; i < 500; ++i) tasks.push_back(remote<after>(here, tasks[0]));
        objects.push_back(remote<bytes>(here));
        actors.push_back(spawn<Waiter>({.placement = Placement::on_rank(rank)}));
        for (int i = 0; i < 20; ++i) {
            tasks.push_back(actors.back().call<&Waiter::wait>(tasks[0]));
        }
    }
};

int wait_in_a_circle(unsigned ranks) {
    const auto one = spawn<Waiter>({.placement = Placement::on_rank(0)});
    const auto other = spawn<Waiter>({.placement = Placement::on_rank(ranks - 1)});
    std::printf("ready\n");
    std::fflush(stdout);
    return get(one.call<&Waiter::call_and_wait>(other, one, 2));
}

/// Everything waits for a licence, of which each rank has one, and an actor on each has that.
int wait_for_licences(unsigned ranks) {
    const Resources licence{{"licence", 1}};
    const Placement last = Placement::on_rank(ranks - 1);
    std::vector<Actor<Waiter>> holders;
    for (unsigned rank = 0; rank < ranks; ++rank) {
        holders.push_back(spawn<Waiter>({.name = "holder " + std::to_string(rank),
                                         .resources = licence,
                                         .placement = Placement::on_rank(rank)}));
        get(holders.back().ready());
    }
    const auto late = spawn<Waiter>({.name = "latecomer", .resources = licence, .placement = last});
    const Ref<int> early = late.call<&Waiter::nothing>();
    const Ref<int> task =
        remote<after>({.name = "a student", .cpus = 0, .resources = licence, .placement = last}, 1);
    const PlacementGroup group(std::vector<Resources>(ranks, licence), Strategy::strict_spread);
    const Ref<int> inside = holders.back().call<&Waiter::wait>(task);
    const Ref<int> behind = holders.back().call<&Waiter::nothing>();
    const Ref<int> given = holders.back().call<&Waiter::twice>(task);
    std::printf("ready\n");
    std::fflush(stdout);
    get(group.ready());
    return get(early) + get(inside) + get(behind) + get(given);
}

int driver(Job& job) {
    const std::string how = job.arguments.at(1);
    const TaskOptions last{.placement = Placement::on_rank(job.ranks - 1)};
    if (how == "fork") return get(remote<fork_in_a_task>(last)) == 1 ? 4 : 5;
    if (how == "nothing") return 0;
    if (how == "fill") {
        fill_shm();
        const std::string end = job.arguments.at(2);
        return end == "return" ? 7 : get(remote<die>(last, end));
    }
    if (how == "handles") return hold_in_a_circle(job.ranks);
    if (how == "licences") return wait_for_licences(job.ranks);
    if (how == "circle") return wait_in_a_circle(job.ranks);
    Load load;
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        const TaskOptions there{.placement = Placement::on_rank(rank)};
        const int pid = get(remote<process>(there));
        std::printf("rank %u is process %d\n", rank, pid);
        load.add(rank);
    }
    for (const auto& object : load.objects) static_cast<void>(view(object));
    // Ranks wait for what will never be: at the end nobody makes it any more.
    std::vector<Ref<int>> in_vain;
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        const TaskOptions there{.placement = Placement::on_rank(rank)};
        for (std::size_t i = 4; i < load.tasks.size(); i += 100) {
            in_vain.push_back(remote<wait_for>(there, load.tasks[i]));
        }
        get(remote<process>(there));
    }
    std::vector<Ref<int>> deaf_ones;
    if (how == "deaf") {
        for (unsigned rank = 1; rank < job.ranks; ++rank) {
            deaf_ones.push_back(remote<deaf>({.placement = Placement::on_rank(rank)}));
        }
        while (deaf_begun < job.ranks - 1) mobula::yield();
    }
    std::printf("ready\n");
    std::fflush(stdout);
    if (how == "throw") throw std::runtime_error("the driver has had enough");
    if (how == "bad") throw BadInput("the driver was told nonsense");
    if (how == "code") return std::atoi(job.arguments.at(2).c_str());
    if (how == "die") return get(remote<die>(last, job.arguments.at(2)));
    if (how == "exit") std::exit(4);
    if (how == "leave" || how == "deaf") return 0;
    if (how == "stay") return get(load.tasks[0]);
    if (how == "bring") return bring_for_ever();
    throw BadInput("no such way to end: " + how);
}

/// What a rank may do instead of coming to run().
int end_before_run(const std::string& how) {
    if (how == "return") return 3;
    if (how == "kill") std::raise(SIGKILL);
    if (how == "throw") throw std::runtime_error("a constructor has failed");
    while (how == "hang") pause();
    return 0;
}

bool launched_as(const char* rank) {
    const char* const launched = std::getenv("PMIX_RANK");
    return launched != nullptr && std::string(launched) == rank;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 3 && std::string(argv[1]) == "before" && launched_as(argv[3])) {
        return end_before_run(argv[2]);
    }
    const bool again = argc > 2 && std::string(argv[2]) == "again";
    const int code = mobula::run(argc, argv, driver);
    return again ? mobula::run(argc, argv, driver) : code;
}
