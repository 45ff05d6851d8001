// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: an unknown option: .* num_gpus and gpu gpus
#include <mobula/mobula.hpp>

struct Trainer {};
auto submit() { return mobula::spawn<Trainer>({.num_cpus = 2, .num_gpus = 1}); }
