// SPDX-License-Identifier: Apache-2.0
// expect: mobula: a task cannot take a non-const reference
#include <mobula/mobula.hpp>

#include <vector>

void fill(std::vector<int>& numbers);
void submit() { mobula::remote<fill>(std::vector<int>{1, 2}); }
