// SPDX-License-Identifier: Apache-2.0
// Goal: the driver, a task, one that has waited and a method have the same stack on every rank, and
// what does not fit is told. Method: full_stack.py runs this program with what shall need how much.
//
//   stacks fits KIB              all of them, on every rank, use so much; prints "all fit"
//   stacks deep|array PLACE KIB  what runs at PLACE (driver, task, waiter, method) uses so much, in
//                                many frames or in one; on the last rank, except for the driver
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include <alloca.h>

#include <mobula/mobula.hpp>

namespace {

using mobula::get;
using mobula::Placement;
using mobula::remote;

/// Touches what it is given, from the far end on, as a large local array is.
[[gnu::noinline]] void touch(volatile char* array, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; i += 1024) array[i] = 1;
}

[[gnu::noinline]] void use_array(int kib) {
    const std::size_t bytes = static_cast<std::size_t>(kib) * 1024;
    touch(static_cast<volatile char*>(alloca(bytes)), bytes);
}

[[gnu::noinline]] int use_frames(int kib) {  // NOLINT(misc-no-recursion)
    volatile char frame[1024 - 64];
    frame[0] = 1;
    return kib <= 1 ? frame[0] : use_frames(kib - 1) + frame[0];
}

void use(const std::string& how, int kib) {
    if (how == "array") {
        use_array(kib);
    } else {
        use_frames(kib);
    }
}

int one() { return 1; }
int task(const std::string& how, int kib) {
    use(how, kib);
    return 1;
}
int waiter(const std::string& how, int kib) {
    get(remote<one>());
    use(how, kib);
    get(remote<one>());
    return 1;
}
struct User {
    int method(const std::string& how, int kib) {
        use(how, kib);
        return 1;
    }
};

int at(const std::string& place, unsigned rank, const std::string& how, int kib) {
    const mobula::TaskOptions there{.placement = Placement::on_rank(rank)};
    if (place == "task") return get(remote<task>(there, how, kib));
    if (place == "waiter") return get(remote<waiter>(there, how, kib));
    if (place == "method") {
        const auto user = mobula::spawn<User>({.placement = Placement::on_rank(rank)});
        return get(user.call<&User::method>(how, kib));
    }
    use(how, kib);
    return 1;
}

int driver(mobula::Job& job) {
    if (job.arguments.at(1) != "fits") {
        return at(job.arguments.at(2), job.ranks - 1, job.arguments.at(1),
                  std::atoi(job.arguments.at(3).c_str()));
    }
    for (const std::string how : {"array", "deep"}) {
        for (unsigned rank = 0; rank < job.ranks; ++rank) {
            for (const std::string place : {"driver", "task", "waiter", "method"}) {
                at(place, rank, how, std::atoi(job.arguments.at(2).c_str()));
            }
        }
    }
    std::puts("all fit");
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
