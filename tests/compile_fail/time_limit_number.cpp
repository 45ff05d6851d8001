// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: a time limit has a unit
#include <mobula/mobula.hpp>

int submit(const mobula::Ref<int>& ref) { return mobula::get(ref, 5); }
