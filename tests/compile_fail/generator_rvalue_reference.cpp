// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: a generator cannot take an rvalue reference
#include <mobula/mobula.hpp>

#include <vector>

mobula::Generator<int> each(std::vector<int>&& numbers);
void submit() { mobula::remote<each>(std::vector<int>{1, 2}); }
