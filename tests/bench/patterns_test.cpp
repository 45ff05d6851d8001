// SPDX-License-Identifier: Apache-2.0

/// The pattern problem against its definitions: small graphs written out by hand, and for all
/// patterns the properties that the serial, the MPI and the mobula program rely on.

#include "patterns/problem.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace {

using namespace patterns;
using testing::ElementsAre;
using testing::IsEmpty;

Problem make(Pattern pattern, std::uint32_t width, std::uint32_t radix = 5) {
    Problem problem;
    problem.pattern = pattern;
    problem.width = width;
    problem.steps = 12;
    problem.radix = radix;
    return problem;
}

std::vector<Problem> all_problems() {
    std::vector<Problem> all;
    for (std::size_t i = 0; i < pattern_names.size(); ++i) {
        for (const std::uint32_t width : {1U, 2U, 3U, 7U, 16U}) {
            for (const std::uint32_t radix : {1U, 3U, 4U, 5U}) {
                all.push_back(make(static_cast<Pattern>(i), width, radix));
            }
        }
    }
    return all;
}

TEST(patterns, names_go_both_ways) {
    for (const std::string_view name : pattern_names) {
        ASSERT_TRUE(pattern_of(name).has_value());
        EXPECT_EQ(name_of(*pattern_of(name)), name);
    }
    EXPECT_FALSE(pattern_of("sweep").has_value());
}

TEST(patterns, first_step_reads_nothing) {
    for (const Problem& problem : all_problems()) {
        EXPECT_THAT(predecessors(problem, 0, 0), IsEmpty());
    }
}

TEST(patterns, predecessors_by_hand) {
    EXPECT_THAT(predecessors(make(Pattern::trivial, 8), 1, 3), IsEmpty());
    EXPECT_THAT(predecessors(make(Pattern::no_comm, 8), 1, 3), ElementsAre(3));
    EXPECT_THAT(predecessors(make(Pattern::stencil_1d, 8), 1, 3), ElementsAre(2, 3, 4));
    EXPECT_THAT(predecessors(make(Pattern::stencil_1d, 8), 1, 0), ElementsAre(0, 1));
    EXPECT_THAT(predecessors(make(Pattern::stencil_1d, 8), 1, 7), ElementsAre(6, 7));
    EXPECT_THAT(predecessors(make(Pattern::nearest, 8, 5), 1, 3), ElementsAre(1, 2, 3, 4, 5));
    EXPECT_THAT(predecessors(make(Pattern::nearest, 8, 4), 1, 3), ElementsAre(1, 2, 3, 4));
    EXPECT_THAT(predecessors(make(Pattern::nearest, 8, 5), 1, 0), ElementsAre(0, 1, 2));
    EXPECT_THAT(predecessors(make(Pattern::spread, 8, 4), 3, 1), ElementsAre(1, 3, 5, 7));
    EXPECT_THAT(predecessors(make(Pattern::spread, 8, 4), 4, 1), ElementsAre(0, 1, 4, 6));
    EXPECT_THAT(predecessors(make(Pattern::fft, 8), 1, 3), ElementsAre(2, 3, 4));
    EXPECT_THAT(predecessors(make(Pattern::fft, 8), 2, 3), ElementsAre(1, 3, 5));
    EXPECT_THAT(predecessors(make(Pattern::fft, 8), 3, 3), ElementsAre(3, 7));
    EXPECT_THAT(predecessors(make(Pattern::fft, 8), 4, 3), ElementsAre(2, 3, 4));
    EXPECT_THAT(predecessors(make(Pattern::tree, 8), 2, 3), ElementsAre(1));
    EXPECT_THAT(predecessors(make(Pattern::all_to_all, 4), 1, 3), ElementsAre(0, 1, 2, 3));
}

TEST(patterns, tree_fans_out_to_its_width) {
    const Problem problem = make(Pattern::tree, 6);
    EXPECT_EQ(active(problem, 0), 1U);
    EXPECT_EQ(active(problem, 1), 2U);
    EXPECT_EQ(active(problem, 2), 4U);
    EXPECT_EQ(active(problem, 3), 6U);
    EXPECT_EQ(active(problem, 40), 6U);
}

TEST(patterns, predecessors_are_active_ascending_and_distinct) {
    for (const Problem& problem : all_problems()) {
        for (std::uint32_t t = 1; t < problem.steps; ++t) {
            for (std::uint32_t p = 0; p < active(problem, t); ++p) {
                const std::vector<std::uint32_t> found = predecessors(problem, t, p);
                for (std::size_t i = 0; i < found.size(); ++i) {
                    EXPECT_LT(found[i], active(problem, t - 1))
                        << name_of(problem.pattern) << " width " << problem.width;
                    if (i > 0) {
                        EXPECT_LT(found[i - 1], found[i]);
                    }
                }
            }
        }
    }
}

TEST(patterns, random_nearest_keeps_itself_and_about_its_fraction) {
    Problem problem = make(Pattern::random_nearest, 1000, 11);
    std::size_t kept = 0;
    for (std::uint32_t p = 5; p < 995; ++p) {
        const std::vector<std::uint32_t> found = predecessors(problem, 1, p);
        EXPECT_THAT(found, testing::Contains(p));
        kept += found.size() - 1;
    }
    EXPECT_NEAR(static_cast<double>(kept) / (990.0 * 10), 0.5, 0.03);
    problem.fraction = 0;
    EXPECT_THAT(predecessors(problem, 1, 500), ElementsAre(500));
    problem.fraction = 1;
    EXPECT_EQ(predecessors(problem, 1, 500).size(), 11U);
}

TEST(patterns, edges_agree_with_the_definition) {
    for (const Problem& problem : all_problems()) {
        const Edges edges(problem);
        std::uint64_t tasks = 0;
        std::uint64_t count = 0;
        for (std::uint32_t t = 0; t < problem.steps; ++t) {
            std::vector<bool> read(problem.width);
            tasks += active(problem, t);
            for (std::uint32_t p = 0; p < active(problem, t); ++p) {
                const std::vector<std::uint32_t> expected = predecessors(problem, t, p);
                const auto found = edges.predecessors(t, p);
                EXPECT_TRUE(
                    std::equal(found.begin(), found.end(), expected.begin(), expected.end()))
                    << name_of(problem.pattern) << " width " << problem.width << " step " << t;
                count += expected.size();
                for (const std::uint32_t q : expected) read[q] = true;
            }
            for (std::uint32_t q = 0; t > 0 && q < active(problem, t - 1); ++q) {
                EXPECT_EQ(edges.is_read(t - 1, q), read[q]);
            }
        }
        EXPECT_FALSE(edges.is_read(problem.steps - 1, 0));
        EXPECT_EQ(edges.tasks(), tasks);
        EXPECT_EQ(edges.edges(), count);
    }
}

TEST(patterns, blocks_share_the_points_evenly) {
    for (const std::uint32_t width : {1U, 2U, 7U, 16U, 100U}) {
        for (const std::uint32_t count : {1U, 2U, 3U, 5U, 16U}) {
            const Blocks blocks{width, count};
            EXPECT_EQ(blocks.first(0), 0U);
            EXPECT_EQ(blocks.first(count), width);
            for (std::uint32_t p = 0; p < width; ++p) {
                const std::uint32_t owner = blocks.owner(p);
                EXPECT_LE(blocks.first(owner), p);
                EXPECT_LT(p, blocks.first(owner + 1));
            }
        }
    }
}

TEST(patterns, halos_bring_each_block_all_that_it_reads) {
    for (const Problem& problem : all_problems()) {
        const Edges edges(problem);
        const Blocks blocks{problem.width, 3};
        for (std::uint32_t t = 1; t < problem.steps; ++t) {
            for (std::uint32_t p = 0; p < active(problem, t); ++p) {
                for (const std::uint32_t q : edges.predecessors(t, p)) {
                    EXPECT_THAT(edges.halo(blocks, t, blocks.owner(q), blocks.owner(p)),
                                testing::Contains(q));
                }
            }
        }
    }
}

TEST(patterns, a_task_refuses_wrong_data) {
    const Problem problem = make(Pattern::stencil_1d, 4);
    const Edges edges(problem);
    Output<16> left, middle, right, output;
    left.fill({2, 0});
    middle.fill({2, 1});
    right.fill({2, 2});
    std::vector<const Output<16>*> inputs{&left, &middle, &right};
    run_point<16>(problem, edges, 3, 1, inputs, output);
    EXPECT_THAT(output, testing::Each(Stamp{3, 1}));
    right[15].step = 1;
    EXPECT_THROW(run_point<16>(problem, edges, 3, 1, inputs, output), std::runtime_error);
    inputs.pop_back();
    EXPECT_THROW(run_point<16>(problem, edges, 3, 1, inputs, output), std::runtime_error);
}

}  // namespace
