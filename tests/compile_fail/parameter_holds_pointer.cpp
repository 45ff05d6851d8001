// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: a parameter of this function cannot travel
#include <mobula/mobula.hpp>

#include <optional>

int look(std::optional<int*> place);
void submit(int* place) { mobula::remote<look>(place); }
