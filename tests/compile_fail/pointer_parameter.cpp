// SPDX-License-Identifier: Apache-2.0
// expect: mobula: a parameter of this function cannot travel
#include <mobula/mobula.hpp>

int length(const char* text);
void submit() { mobula::remote<length>("text"); }
