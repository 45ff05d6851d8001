// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: travels<T>..: T must be a class that is not final
#include <mobula/mobula.hpp>

struct Diverged final : std::runtime_error {
    using std::runtime_error::runtime_error;
};
bool name_it() { return mobula::travels<Diverged>(); }
