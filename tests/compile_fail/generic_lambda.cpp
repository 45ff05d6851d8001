// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: a generic lambda cannot be a task
#include <mobula/mobula.hpp>

void submit() {
    mobula::remote([](auto n) { return n; }, 1);
}
