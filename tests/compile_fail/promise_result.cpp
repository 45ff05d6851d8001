// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: a Promise cannot travel
#include <mobula/mobula.hpp>

#include <vector>

std::vector<mobula::Promise<int>> promises(int count);
void submit() { mobula::remote<promises>(3); }
