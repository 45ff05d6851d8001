// SPDX-License-Identifier: Apache-2.0
// expect: mobula: an argument does not fit its parameter
#include <mobula/mobula.hpp>

struct Trainer {
    int step(int n);
};
void submit(const mobula::Actor<Trainer>& trainer) { trainer.call<&Trainer::step>("three"); }
