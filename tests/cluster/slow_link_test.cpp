// SPDX-License-Identifier: Apache-2.0
// Goal: a slow or busy link is not a death. Method: every rank makes an array and every other rank
// adds it up, all at once, while the link of one node is limited; small tasks go on meanwhile. Ends
// with 0 when all sums are right. Arguments: megabytes of an array, and how often.
#include <string>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

Array<double> make(std::size_t count, double value) {
    Array<double> array({count});
    for (std::size_t i = 0; i < count; ++i) array.mutable_data()[i] = value;
    return array;
}
double sum(const Array<double>& array) {
    double all = 0;
    for (const double one : array) all += one;
    return all;
}
int answer(int number) { return number; }

void all_to_all(std::size_t count, double value) {
    std::vector<Ref<double>> sums;
    std::vector<double> wanted;
    for (unsigned from = 0; from < ranks(); ++from) {
        const double one = value + from;
        const Ref<Array<double>> array = remote<make>(on(from), count, one);
        for (unsigned to = 0; to < ranks(); ++to) {
            if (to == from) continue;
            sums.push_back(remote<sum>(on(to), array));
            wanted.push_back(one * static_cast<double>(count));
        }
    }
    int small = 0;
    for (std::size_t i = 0; i < sums.size(); ++i) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(20);
        for (;;) {
            try {
                check_equal(get(sums[i], std::chrono::milliseconds(100)), wanted[i], "a sum");
                break;
            } catch (const Timeout&) {
                check(std::chrono::steady_clock::now() < end, "a sum never came");
            }
            for (unsigned rank = 0; rank < ranks(); ++rank) {
                ++small;
                check_equal(get(remote<answer>(on(rank), small)), small, "a small task");
            }
        }
    }
}

int driver(Job& job) {
    const std::size_t megabytes = std::stoul(job.arguments.at(1));
    const std::size_t rounds = std::stoul(job.arguments.at(2));
    for (std::size_t round = 0; round < rounds; ++round) {
        all_to_all(megabytes * 1000000 / sizeof(double), static_cast<double>(round + 1));
    }
    std::printf("every sum is right\n");
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
