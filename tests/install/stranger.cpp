// SPDX-License-Identifier: Apache-2.0
#include <mobula/mobula.hpp>

#include <cstdio>
#include <vector>

double half(double value) { return value / 2; }

int driver(mobula::Job& /*job*/) {
    std::vector<mobula::Ref<double>> halves;
    for (int i = 0; i < 100; ++i) halves.push_back(mobula::remote<half>(2.0 * i));
    double sum = 0;
    for (double value : mobula::get(halves)) sum += value;
    std::printf("sum %g\n", sum);
    return sum == 4950 ? 0 : 1;
}

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
