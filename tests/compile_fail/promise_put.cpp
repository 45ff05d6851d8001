// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: a Promise cannot travel
#include <mobula/mobula.hpp>

#include <memory>

void submit() { mobula::put(std::make_shared<mobula::Promise<int>>()); }
