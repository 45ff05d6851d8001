// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: Promise<T>: the type cannot travel
#include <mobula/mobula.hpp>

mobula::Promise<int*>* promise();
auto submit() { return promise()->ref().valid(); }
