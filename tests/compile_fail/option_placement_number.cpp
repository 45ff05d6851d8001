// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: an unknown option: .*a placement is no number
#include <mobula/mobula.hpp>

int twice(int n);
int submit() { return mobula::get(mobula::remote<twice>({.placement = 1}, 4)); }
