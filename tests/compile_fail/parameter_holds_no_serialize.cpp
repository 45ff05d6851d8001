// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: a parameter of this function cannot travel
#include <mobula/mobula.hpp>

#include <string>
#include <vector>

struct Person {
    std::string name;
};
int count(const std::vector<Person>& people);
void submit() { mobula::remote<count>(std::vector<Person>{{"Ada"}}); }
