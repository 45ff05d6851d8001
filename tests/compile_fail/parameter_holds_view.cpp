// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: a parameter of this function cannot travel
#include <mobula/mobula.hpp>

#include <array>
#include <string_view>

int length(const std::array<std::string_view, 1>& texts);
void submit() { mobula::remote<length>(std::array<std::string_view, 1>{"text"}); }
