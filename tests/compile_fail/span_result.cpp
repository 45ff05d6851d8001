// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: the result of this function cannot travel
#include <mobula/mobula.hpp>

#include <span>
#include <vector>

std::span<const double> middle(std::span<const double> numbers);
void submit(const std::vector<double>& numbers) { mobula::remote<middle>(numbers); }
