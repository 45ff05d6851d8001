// SPDX-License-Identifier: Apache-2.0
// expect: mobula: an argument does not fit its parameter
#include <mobula/mobula.hpp>

#include <memory>

int look(std::unique_ptr<int> number);
void submit(const std::unique_ptr<int>& number) { mobula::remote<look>(number); }
