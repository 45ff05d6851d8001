// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: an unknown option: .*a time limit belongs to the wait
#include <mobula/mobula.hpp>

#include <chrono>
int twice(int n);
int submit() { return mobula::get(mobula::remote<twice>({.timeout = std::chrono::seconds(5)}, 4)); }
