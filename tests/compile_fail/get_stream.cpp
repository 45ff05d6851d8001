// SPDX-License-Identifier: Apache-2.0
// expect: mobula: get.stream.: a stream is many objects
#include <mobula/mobula.hpp>

mobula::Generator<int> count();
int all() { return mobula::get(mobula::remote<count>()); }
