// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: a parameter of this function cannot travel
#include <mobula/mobula.hpp>

#include <string>

struct Person {
    std::string name;
};
int age(const Person& person);
void submit() { mobula::remote<age>(Person{"Ada"}); }
