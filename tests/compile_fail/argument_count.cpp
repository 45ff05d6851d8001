// SPDX-License-Identifier: Apache-2.0
// expect: mobula: wrong number of arguments
#include <mobula/mobula.hpp>

int add(int a, int b);
void submit() { mobula::remote<add>(1); }
