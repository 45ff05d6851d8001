// SPDX-License-Identifier: Apache-2.0
// Goal: the last of many named actors costs what the first did, on rank 0, which knows all names,
// and elsewhere. Method: spawns in chunks; the quickest chunk among the last is compared with the
// quickest among the first, as both meet the same machine.
#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

struct Named {
    explicit Named(int number) : number(number) {}
    int read() const { return number; }
    int number;
};

constexpr int chunk = 200, chunks = 120, compared = 20;
constexpr double times_max = 5;

double quickest(const std::vector<double>& seconds, int from) {
    return *std::min_element(seconds.begin() + from, seconds.begin() + from + compared);
}

int spawn_many() {
    std::vector<Actor<Named>> actors;
    std::vector<double> seconds;
    for (int i = 0; i < chunks; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        for (int k = 0; k < chunk; ++k) {
            const int number = i * chunk + k;
            actors.push_back(spawn<Named>({.name = "actor " + std::to_string(number)}, number));
        }
        get(actors.back().call<&Named::read>());
        seconds.push_back(
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    for (const int number : {0, chunk, chunk * chunks - 1}) {
        check_equal(get(find<Named>("actor " + std::to_string(number))->call<&Named::read>()),
                    number, "who has the name");
    }
    const double first = quickest(seconds, 0), last = quickest(seconds, chunks - compared);
    check(last < times_max * first, "the last named actors took " + std::to_string(last / first) +
                                        " times as long as the first");
    return 0;
}

int driver(Job& job) {
    spawn_many();
    if (job.ranks > 1) {
        // The names of the first have to go before they are given again.
        await(
            [] { return !find<Named>("actor " + std::to_string(chunk * chunks - 1)).has_value(); },
            "the end of the names");
        get(remote<spawn_many>({.placement = Placement::on_rank(1)}));
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
