// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: an argument of many Refs does not fit its parameter
#include <mobula/mobula.hpp>

#include <vector>

double square(double number);
void submit(const std::vector<mobula::Ref<double>>& refs) { mobula::remote<square>(refs); }
