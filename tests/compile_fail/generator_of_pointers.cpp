// SPDX-License-Identifier: Apache-2.0
// expect: mobula: the result of this function cannot travel
#include <mobula/mobula.hpp>

mobula::Generator<int*> addresses();
void submit() { mobula::remote<addresses>(); }
