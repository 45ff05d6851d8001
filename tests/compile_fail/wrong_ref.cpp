// SPDX-License-Identifier: Apache-2.0
// expect: mobula: an argument does not fit its parameter
#include <mobula/mobula.hpp>

int twice(int n);
void submit(const mobula::Ref<double>& ref) { mobula::remote<twice>(ref); }
