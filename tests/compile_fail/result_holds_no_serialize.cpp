// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: the result of this function cannot travel
#include <mobula/mobula.hpp>

#include <map>
#include <string>

struct Person {
    std::string name;
};
std::map<int, Person> people();
void submit() { mobula::remote<people>(); }
