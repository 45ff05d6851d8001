// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: a parameter of this function cannot travel
// says: (number = 2; Parameter = const Named|check_parameter<2.*, const Named)
#include <mobula/mobula.hpp>

struct Named {
    int number;
    const char* name;
};
int look(int n, const Named& named);
int submit() { return mobula::get(mobula::remote<look>(1, Named{1, "text"})); }
