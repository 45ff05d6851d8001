// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: call<method>: not a method of this actor
#include <mobula/mobula.hpp>

struct Trainer {
    int finish() &&;
};
void submit(const mobula::Actor<Trainer>& trainer) { trainer.call<&Trainer::finish>(); }
