// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: an argument of many Refs does not fit its parameter
#include <mobula/mobula.hpp>

#include <span>
#include <string>
#include <vector>

struct Trainer {
    int learn(std::span<const double> gradients, int step);
};
void submit(const mobula::Actor<Trainer>& trainer, std::vector<mobula::Ref<std::string>> refs) {
    trainer.call<&Trainer::learn>(refs, 1);
}
