// SPDX-License-Identifier: Apache-2.0
// A user's program under a tool that watches it: tasks wait, throw and depend on each other, so
// that many stacks are in use, and errors are thrown through them. With the argument `wrong` a task
// that has waited reads beyond an array, with `deep` it needs more than its stack.
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include <mobula/mobula.hpp>

int leaf(int x) {
    if (x % 2 == 1) throw std::runtime_error("odd");
    return x;
}

int middle(int count) {
    int sum = 0;
    for (int i = 0; i < count; ++i) {
        try {
            sum += mobula::get(mobula::remote<leaf>(i));
        } catch (const mobula::TaskError&) {
        }
    }
    char text[32];  // what an exception left poisoned on this stack shows here
    std::snprintf(text, sizeof text, "%d", sum);
    return std::stoi(text);
}

std::vector<int> numbers(int count) {
    std::vector<int> all;
    for (int i = 0; i < count; ++i) all.push_back(i);
    return all;
}

long sum_of(const std::vector<int>& all) {
    long sum = 0;
    for (const int i : all) sum += i;
    return sum;
}

struct Collector {
    std::vector<int> all;
    void add(int i) { all.push_back(i); }
    long total() const { return sum_of(all); }
};

int read_beyond(int count) {
    std::vector<int> all = mobula::get(mobula::remote<numbers>(count));
    return all.data()[count];
}

int too_deep(int n) {
    volatile char frame[1000];
    frame[0] = static_cast<char>(mobula::get(mobula::remote<leaf>(0)));
    return n < 0 ? 0 : too_deep(n + 1) + frame[0];
}

int driver(mobula::Job& job) {
    const std::string how = job.arguments.size() > 1 ? job.arguments[1] : "";
    if (how == "wrong") return mobula::get(mobula::remote<read_beyond>(100)) & 1;
    if (how == "deep") return mobula::get(mobula::remote<too_deep>(0));
    long sum = 0;
    std::vector<mobula::Ref<int>> waiting;
    for (int i = 0; i < 50; ++i) waiting.push_back(mobula::remote<middle>(10));
    for (const auto& ref : waiting) sum += mobula::get(ref);
    std::vector<mobula::Ref<long>> sums;
    for (int i = 0; i < 50; ++i) {
        sums.push_back(mobula::remote<sum_of>(mobula::remote<numbers>(1000)));
    }
    for (const auto& ref : sums) sum += mobula::get(ref);
    auto collector = mobula::spawn<Collector>();
    for (int i = 0; i < 100; ++i) collector.call<&Collector::add>(i);
    sum += mobula::get(collector.call<&Collector::total>());
    std::printf("sum %ld\n", sum);
    return sum == 50 * 20 + 50 * 499'500 + 4950 ? 0 : 1;
}

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
