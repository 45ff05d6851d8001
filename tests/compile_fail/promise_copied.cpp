// SPDX-License-Identifier: Apache-2.0
// expect: use of deleted function|call to implicitly-deleted copy constructor
#include <mobula/mobula.hpp>

mobula::Promise<int> copy(const mobula::Promise<int>& promise) { return promise; }
