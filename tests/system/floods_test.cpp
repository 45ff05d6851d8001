// SPDX-License-Identifier: Apache-2.0
// Goal: very many tasks, calls and objects at once are slowed down, not lost and not a crash.
// Method: every rank sends 10,000 tasks to every rank at the same time; a million tasks wait for
// one object; large arguments to one rank far beyond what may wait in memory.
#include <string>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

int identity(int n) { return n; }
int with_gate(int gate, int n) { return gate + n; }

/// Sends `count` tasks to each rank, all at once, and adds up what they return.
long send_all(int count) {
    std::vector<Ref<int>> refs;
    for (int i = 0; i < count; ++i) {
        for (unsigned rank = 0; rank < ranks(); ++rank) {
            refs.push_back(remote<identity>(on(rank), i));
        }
    }
    long sum = 0;
    for (const int n : get(refs)) sum += n;
    return sum;
}

class Sink {
public:
    void add(int n) { sum_ += n; }
    void add_text(const std::string& text) { sum_ += static_cast<long>(text.size()); }
    long sum() const { return sum_; }

private:
    long sum_ = 0;
};
void call_many(Actor<Sink> sink, int count) {
    for (int i = 0; i < count; ++i) sink.call<&Sink::add>(1);
}

void everyone_to_everyone() {
    std::vector<Ref<long>> senders;
    for (unsigned rank = 0; rank < ranks(); ++rank) {
        senders.push_back(remote<send_all>(on(rank), 10'000));
    }
    for (const long sum : get(senders)) {
        check_equal(sum, 9999L * 5000 * ranks(), "the sum of a flood");
    }
}

void a_million() {
    const Ref<int> gate = remote<run_until_cancelled>(on(0));
    const Ref<int> open = remote(
        [](Ref<int> g) {
            try {
                get(g);
            } catch (const Cancelled&) {
            }
            return 1;
        },
        gate);
    std::vector<Ref<int>> refs;
    refs.reserve(1'000'000);
    for (int i = 0; i < 1'000'000; ++i) refs.push_back(remote<with_gate>(open, i % 100));
    check(!refs.front().done() && !refs.back().done(), "a task ran without its input");
    cancel(gate);
    long sum = 0;
    for (const int n : get(refs)) sum += n;
    check_equal(sum, 1'000'000L + 10'000L * 4950, "the sum of a million tasks that waited");
}

void large_arguments(unsigned rank) {
    const std::string text(20'000, 't');
    const Actor<Sink> sink = spawn<Sink>({.placement = Placement::on_rank(rank)});
    std::vector<Ref<std::size_t>> sizes;
    for (int i = 0; i < 2000; ++i) {
        sizes.push_back(remote(
            on(rank), [](const std::string& s) { return s.size(); }, text));
        sink.call<&Sink::add_text>(text);
    }
    std::size_t sum = 0;
    for (const std::size_t size : get(sizes)) sum += size;
    check_equal(sum, 2000 * text.size(), "the bytes that tasks were given");
    check_equal(get(sink.call<&Sink::sum>()), static_cast<long>(2000 * text.size()),
                "the bytes that an actor was given");
}

void many_callers(unsigned rank) {
    const Actor<Sink> sink = spawn<Sink>({.placement = Placement::on_rank(rank)});
    std::vector<Ref<void>> callers;
    for (unsigned i = 0; i < 4 * ranks(); ++i) {
        callers.push_back(remote<call_many>(on(i % ranks()), sink, 3000));
    }
    get(callers);
    await([&] { return get(sink.call<&Sink::sum>()) == 12'000L * ranks(); },
          "all calls of many callers");
}

int driver(Job& job) {
    everyone_to_everyone();
    a_million();
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        large_arguments(rank);
        many_callers(rank);
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
