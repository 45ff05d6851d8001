// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: the result of this function cannot travel
#include <mobula/mobula.hpp>

int* place(int size);
void submit() { mobula::remote<place>(3); }
