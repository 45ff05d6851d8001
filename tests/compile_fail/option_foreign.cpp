// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: an unknown option: num_cpus and cpu are called cpus
#include <mobula/mobula.hpp>

int twice(int n);
int submit() { return mobula::get(mobula::remote<twice>({.num_cpus = 2}, 4)); }
