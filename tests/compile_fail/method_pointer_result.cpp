// SPDX-License-Identifier: Apache-2.0
// expect: mobula: the result of this function cannot travel
#include <mobula/mobula.hpp>

struct Trainer {
    const char* name();
};
void submit(const mobula::Actor<Trainer>& trainer) { trainer.call<&Trainer::name>(); }
