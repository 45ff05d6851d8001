// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: a task cannot take a span of what it may change
#include <mobula/mobula.hpp>

#include <span>
#include <vector>

void scale(std::span<double> numbers);
void submit(const std::vector<double>& numbers) { mobula::remote<scale>(numbers); }
