// SPDX-License-Identifier: Apache-2.0
// expect: mobula: an argument does not fit its parameter
#include <mobula/mobula.hpp>

#include <string>

int length(std::string text);
void submit() { mobula::remote<length>(3.5); }
