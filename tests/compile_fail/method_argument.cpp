// SPDX-License-Identifier: Apache-2.0
// expect: mobula: wrong number of arguments
#include <mobula/mobula.hpp>

struct Trainer {
    int step(int n);
};
void submit(const mobula::Actor<Trainer>& trainer) { trainer.call<&Trainer::step>(); }
