// SPDX-License-Identifier: Apache-2.0
// expect: mobula: spawn: the actor's class has no constructor
#include <mobula/mobula.hpp>

#include <string>

struct Trainer {
    explicit Trainer(std::string name);
};
void submit() { mobula::spawn<Trainer>(1, 2); }
