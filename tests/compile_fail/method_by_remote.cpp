// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: a method runs on an actor: actor = spawn<A>
#include <mobula/mobula.hpp>

struct Counter {
    int add(int n);
};
int submit() { return mobula::get(mobula::remote<&Counter::add>(Counter(), 1)); }
