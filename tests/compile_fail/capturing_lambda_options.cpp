// SPDX-License-Identifier: Apache-2.0
// expect: mobula: a lambda that captures cannot run on another rank
#include <mobula/mobula.hpp>

void submit(int here) {
    mobula::remote(
        mobula::TaskOptions{.cpus = 2}, [here](int n) { return n + here; }, 1);
}
