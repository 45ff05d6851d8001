// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: get.value.: a value is no Ref
#include <mobula/mobula.hpp>

int submit() { return mobula::get(5); }
