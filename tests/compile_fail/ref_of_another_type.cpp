// SPDX-License-Identifier: Apache-2.0
// expect: could not convert .*Ref<double>|no viable conversion
#include <mobula/mobula.hpp>

int answer();
mobula::Ref<double> submit() { return mobula::remote<answer>(); }
