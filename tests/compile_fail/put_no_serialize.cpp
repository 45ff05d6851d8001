// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: put\(value\): the type cannot travel
#include <mobula/mobula.hpp>

#include <fstream>

void submit() { mobula::put(std::ofstream()); }
