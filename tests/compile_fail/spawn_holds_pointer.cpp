// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: spawn: an argument cannot travel
#include <mobula/mobula.hpp>

#include <utility>

struct Trainer {
    explicit Trainer(std::pair<int*, int> place);
};
void submit(int* place) { mobula::spawn<Trainer>(std::pair<int*, int>(place, 1)); }
