// SPDX-License-Identifier: Apache-2.0
// expect only: mobula: the result of this function cannot travel
#include <mobula/mobula.hpp>

#include <string_view>
#include <vector>

struct Word {
    std::string_view text;
    int length;
};
std::vector<Word> words();
std::vector<Word> submit() { return mobula::get(mobula::remote<words>()); }
