// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: remote.f, 1.: a function is given as remote<f>
#include <mobula/mobula.hpp>

int twice(int n);
int submit() { return mobula::get(mobula::remote(twice, 4)); }
