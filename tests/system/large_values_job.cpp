// SPDX-License-Identifier: Apache-2.0
// The job that large_values_test.py looks at: gives tasks of the last rank large values in each
// way.
#include <cstddef>
#include <vector>

#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

using Table = std::vector<double>;
constexpr std::size_t elements = 200'000;
constexpr int rounds = 20;

double same_table(const Table& table, int round) { return table[0] + round; }
double same_again(const Table& table) { return table[0]; }
double other_table(const Table& table, int round) { return table[0] + round; }
double small_table(const Table& table, int round) { return table[0] + round; }
double table_as_ref(const Table& table, int round) { return table[0] + round; }
double same_array(const Array<double>& array, int round) { return array[0] + round; }

struct Keeper {
    double keep(const Table& table) { return table[0]; }
};

int driver(Job& job) {
    const TaskOptions last = on(job.ranks - 1);
    const Table table(elements, 1.0);
    const Table small(1000, 1.0);
    const Ref<Table> ref = put(table);
    const Array<double> array = Array<double>::copy_of(table);
    const auto keeper = spawn<Keeper>({.placement = last.placement});
    for (int i = 0; i < rounds; ++i) {
        get(remote<same_table>(last, table, i));
        get(remote<same_again>(last, table));
        get(remote<other_table>(last, Table(elements, i), i));
        get(remote<small_table>(last, small, i));
        get(remote<table_as_ref>(last, ref, i));
        get(remote<same_array>(last, array, i));
        get(keeper.call<&Keeper::keep>(table));
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
