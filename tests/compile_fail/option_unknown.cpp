// SPDX-License-Identifier: Apache-2.0
// expect: mobula: all options: see TaskOptions
#include <mobula/mobula.hpp>

int twice(int n);
void submit() { mobula::remote<twice>({.prioritty = 2}, 4); }
