// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: travels<T>..: this exception type has members and does not say how they
// travel
#include <mobula/mobula.hpp>

struct Diverged : std::runtime_error {
    using std::runtime_error::runtime_error;
    int step = 0;
};
bool name_it() { return mobula::travels<Diverged>(); }
