// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: put\(value\): the type cannot travel
#include <mobula/mobula.hpp>

#include <initializer_list>

void submit() { mobula::put(std::initializer_list<int>{1, 2}); }
