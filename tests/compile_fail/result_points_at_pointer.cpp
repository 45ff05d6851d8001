// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: the result of this function cannot travel
#include <mobula/mobula.hpp>

#include <memory>

std::shared_ptr<int*> place();
void submit() { mobula::remote<place>(); }
