// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: an argument does not fit its parameter
// says: (number = 2; Parameter = int; Argument = const char|check_argument<2.*, int, const char)
#include <mobula/mobula.hpp>

int add(int a, int b);
int submit() {
    auto sum = mobula::remote<add>(1, "x");
    return mobula::get(sum) + mobula::get(std::vector{sum}).front();
}
