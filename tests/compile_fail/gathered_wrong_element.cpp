// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: an argument of many Refs does not fit its parameter
// says: std::vector<double>
#include <mobula/mobula.hpp>

#include <vector>

double mean(const std::vector<double>& numbers);
void submit(const std::vector<mobula::Ref<float>>& refs) { mobula::remote<mean>(refs); }
