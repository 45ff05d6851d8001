// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: a Promise cannot travel
#include <mobula/mobula.hpp>

#include <utility>

struct Gate {
    explicit Gate(mobula::Promise<int> promise);
};
void submit(mobula::Promise<int> promise) { mobula::spawn<Gate>(std::move(promise)); }
