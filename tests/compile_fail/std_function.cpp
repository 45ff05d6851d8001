// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: .* nor can a std::function
#include <mobula/mobula.hpp>

#include <functional>
void submit(std::function<int(int)> f) { mobula::remote(f, 1); }
