// SPDX-License-Identifier: Apache-2.0
// expect: mobula: spawn: the actor's class has no constructor
#include <mobula/mobula.hpp>

#include <string>

struct Trainer {
    explicit Trainer(int seed);
};
void submit(const mobula::Ref<std::string>& ref) { mobula::spawn<Trainer>(ref); }
