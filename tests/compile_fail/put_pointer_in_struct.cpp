// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: put.value.: the type cannot travel
#include <mobula/mobula.hpp>

#include <span>

struct Window {
    double origin[3];
    std::span<const double> seen;
};
struct Frame {
    int number;
    Window windows[2];
};
int submit() {
    auto frame = mobula::put(Frame{});
    return mobula::get(frame);
}
