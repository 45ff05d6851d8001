// SPDX-License-Identifier: Apache-2.0
// expect: mobula: spawn: an argument cannot travel
#include <mobula/mobula.hpp>

struct Trainer {
    explicit Trainer(int* place);
};
void submit(int* place) { mobula::spawn<Trainer>(place); }
