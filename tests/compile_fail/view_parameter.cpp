// SPDX-License-Identifier: Apache-2.0
// expect: mobula: a parameter of this function cannot travel
#include <mobula/mobula.hpp>

#include <string_view>

int length(std::string_view text);
void submit() { mobula::remote<length>("text"); }
