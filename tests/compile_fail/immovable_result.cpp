// SPDX-License-Identifier: Apache-2.0
// expect: mobula: the result of this function cannot travel
#include <mobula/mobula.hpp>

#include <mutex>

std::mutex lock();
void submit() { mobula::remote<lock>(); }
