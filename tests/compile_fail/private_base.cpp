// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: call<method>: not a method of this actor
#include <mobula/mobula.hpp>

struct Judge {
    int score(int n);
};
struct Trainer : private Judge {};
void submit(const mobula::Actor<Trainer>& trainer) { trainer.call<&Judge::score>(1); }
