// SPDX-License-Identifier: Apache-2.0
// expect: mobula: a task cannot take a non-const reference
#include <mobula/mobula.hpp>

struct Trainer {
    void step(int& n);
};
void submit(const mobula::Actor<Trainer>& trainer, int n) { trainer.call<&Trainer::step>(n); }
