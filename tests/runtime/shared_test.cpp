// SPDX-License-Identifier: Apache-2.0

// Goal: an owner answers each rank once, in the order in which they asked, with the value if one of
// its questions wanted that, however many ask. Method: random questions against a plain list.

#include "runtime/shared.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

namespace mobula::runtime {
namespace {

using graph::Shared;

TEST(shared, has_each_subscriber_once) {
    for (unsigned seed = 0; seed < 40; ++seed) {
        std::mt19937 random(seed);
        const std::uint32_t ranks = seed % 2 == 0 ? 10 : 500;
        Shared shared;
        for (int round = 0; round < 3; ++round) {
            std::vector<std::pair<std::uint32_t, bool>> plain;
            const auto questions = random() % 400;
            for (std::uint32_t n = 0; n < questions; ++n) {
                const auto rank = static_cast<std::uint32_t>(random() % ranks);
                const bool value = random() % 4 == 0;
                shared.subscribe(Rank{rank}, value);
                const auto at = std::find_if(plain.begin(), plain.end(),
                                             [&](const auto& one) { return one.first == rank; });
                if (at == plain.end()) {
                    plain.emplace_back(rank, value);
                } else {
                    at->second = at->second || value;
                }
            }
            std::vector<std::pair<std::uint32_t, bool>> told;
            for (const Shared::Subscriber& one : shared.take_subscribers()) {
                told.emplace_back(static_cast<std::uint32_t>(index(one.rank)), one.value);
            }
            ASSERT_EQ(told, plain) << "seed " << seed;
            ASSERT_TRUE(shared.subscribers.empty());
        }
    }
}

}  // namespace
}  // namespace mobula::runtime
