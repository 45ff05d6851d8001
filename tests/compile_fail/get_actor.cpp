// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: get.actor.: an actor has no value
#include <mobula/mobula.hpp>

struct Counter {
    int add(int n);
};
int submit(const mobula::Actor<Counter>& counter) { return mobula::get(counter); }
