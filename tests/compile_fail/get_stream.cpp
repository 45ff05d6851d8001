// SPDX-License-Identifier: Apache-2.0
// expect: no matching function for call to .*get
#include <mobula/mobula.hpp>

mobula::Generator<int> count();
int all() { return mobula::get(mobula::remote<count>()); }
