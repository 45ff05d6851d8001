// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: a generator cannot take an rvalue reference
#include <mobula/mobula.hpp>

#include <vector>

mobula::Generator<int> each(std::vector<int>&& numbers);
auto submit() { return mobula::remote<each>(std::vector<int>{1, 2}); }
