// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: put\(value\): the type cannot travel
#include <mobula/mobula.hpp>

#include <string>
#include <vector>

struct Person {
    std::string name;
};
void submit() { mobula::put(std::vector<Person>{{"Ada"}}); }
