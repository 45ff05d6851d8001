// SPDX-License-Identifier: Apache-2.0
// expect: mobula: an overloaded function. remote<overload<int.int.>.f.>
#include <mobula/mobula.hpp>

int twice(int n);
double twice(double x);
void submit() { mobula::remote<twice>(1); }
