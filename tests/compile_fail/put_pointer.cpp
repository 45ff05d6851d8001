// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: put\(value\): the type cannot travel
#include <mobula/mobula.hpp>

void submit(int* address) { mobula::put(address); }
