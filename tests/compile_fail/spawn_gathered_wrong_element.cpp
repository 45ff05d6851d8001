// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: spawn: the actor's class has no constructor
#include <mobula/mobula.hpp>

#include <vector>

struct Trainer {
    explicit Trainer(std::vector<double> weights);
};
void submit(const std::vector<mobula::Ref<float>>& refs) { mobula::spawn<Trainer>(refs); }
