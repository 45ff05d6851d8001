// SPDX-License-Identifier: Apache-2.0
// Goal: a rank is not declared dead while the user's code holds up what drives its network, however
// long. Method: a value whose destructor and encoding take three times as long as a rank may be
// silent; one worker per rank, so that the network has no other thread to be driven by.
#include <atomic>
#include <chrono>
#include <utility>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

/// Of the test's own command line: MOBULA_DEAD_AFTER_MS is 1000.
constexpr std::chrono::seconds long_time{3};

std::atomic<int> held_up{0};

void hold_up() {
    ++held_up;
    const auto end = std::chrono::steady_clock::now() + long_time;
    while (std::chrono::steady_clock::now() < end) {
    }
}

struct Heavy {
    Heavy() = default;
    explicit Heavy(int number) : number(number), slow_end(true) {}
    Heavy(Heavy&& from) noexcept
        : number(from.number), slow_end(std::exchange(from.slow_end, false)) {}
    Heavy& operator=(Heavy&& from) noexcept {
        number = from.number;
        slow_end = std::exchange(from.slow_end, false);
        return *this;
    }
    ~Heavy() {
        if (slow_end) hold_up();
    }
    template <class Archive>
    void serialize(Archive& archive) {
        archive(number);
    }
    int number = 0;
    bool slow_end = false;
};
int number_of(const Heavy& heavy) { return heavy.number; }

/// Its encoding is slow on the rank that made it.
struct Late {
    int number = 0;
    template <class Archive>
    void save(Archive& archive) const {
        hold_up();
        archive(number);
    }
    template <class Archive>
    void load(Archive& archive) {
        archive(number);
    }
};
int number_of_late(const Late& late) { return late.number; }
Late make_late(int number) { return {number}; }

int driver(Job&) {
    const TaskOptions there{.placement = Placement::on_rank(1)};
    // Arguments go when the task's result has come back, as it is told to this rank.
    check_equal(get(remote<number_of>(there, Heavy(7))), 7, "the number of a heavy value");
    // A value is encoded where it is when another rank wants it.
    const Ref<Late> here = put(Late{5});
    check_equal(get(remote<number_of_late>(there, here)), 5, "the number of a late value");
    const Ref<Late> made = remote<make_late>(there, 6);
    check_equal(get(made).number, 6, "the number of a late value made there");
    check(held_up.load() >= 2, "what takes long ran on this rank");
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
