// SPDX-License-Identifier: Apache-2.0
// expect: cannot convert.*std::|no viable conversion
#include <mobula/mobula.hpp>

#include <string>

mobula::Generator<int> count() { co_yield std::string("one"); }
