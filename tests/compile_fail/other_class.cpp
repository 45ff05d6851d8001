// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: call<method>: not a method of this actor
#include <mobula/mobula.hpp>

struct Trainer {
    int step(int n);
};
struct Judge {
    int score(int n);
};
void submit(const mobula::Actor<Trainer>& trainer) { trainer.call<&Judge::score>(1); }
