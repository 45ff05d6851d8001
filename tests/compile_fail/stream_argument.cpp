// SPDX-License-Identifier: Apache-2.0
// expect: mobula: an argument does not fit its parameter
#include <mobula/mobula.hpp>

mobula::Generator<int> count();
int twice(int n);
void submit() { mobula::remote<twice>(mobula::remote<count>()); }
