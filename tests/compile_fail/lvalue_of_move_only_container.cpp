// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: an argument does not fit its parameter
#include <mobula/mobula.hpp>

#include <memory>
#include <vector>

int look(std::vector<std::unique_ptr<int>> numbers);
void submit(const std::vector<std::unique_ptr<int>>& numbers) { mobula::remote<look>(numbers); }
