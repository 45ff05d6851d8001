// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: not a function
#include <mobula/mobula.hpp>

void submit() { mobula::remote<5>(); }
