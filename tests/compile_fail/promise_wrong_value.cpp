// SPDX-License-Identifier: Apache-2.0
// expect: no matching (member )?function for call to .*set_value
#include <mobula/mobula.hpp>

#include <string>

void submit(mobula::Promise<int>& promise) { promise.set_value(std::string("four")); }
