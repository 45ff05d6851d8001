// SPDX-License-Identifier: Apache-2.0
/// Goal: the report of many ranks says each thing once, and nothing is lost. Method: examples.
#include "tools/report.hpp"

#include <gtest/gtest.h>

namespace mobula::tools {
namespace {

TEST(Report, SaysOnceWhatAllSay) {
    EXPECT_EQ(report({{"rank: 0", "cpus: 0-3", "library: UCX"},
                      {"rank: 1", "cpus: 0-3", "library: UCX"},
                      {"rank: 2", "cpus: 0-1", "library: UCX"}}),
              "all ranks\n  library: UCX\n"
              "rank 0\n  rank: 0\n  cpus: 0-3\n"
              "rank 1\n  rank: 1\n  cpus: 0-3\n"
              "rank 2\n  rank: 2\n  cpus: 0-1\n");
}

TEST(Report, OfOneRankIsThatRanks) { EXPECT_EQ(report({{"a", "b"}}), "rank 0\n  a\n  b\n"); }

TEST(Report, AFactToldTwiceByOneRankIsNotToldByAll) {
    EXPECT_EQ(report({{"a", "a"}, {}}), "all ranks\nrank 0\n  a\n  a\n");
}

TEST(Report, TellsOnceWhatIsSoOfSeveralPeers) {
    EXPECT_EQ(report({{"network: rank 1 by map", "network: rank 2 by map"},
                      {"network: rank 0 by map", "network: rank 2 by push"},
                      {"network: rank 0 by map", "network: rank 1 by map", "network: rank x"}}),
              "all ranks\n"
              "rank 0\n  network: each other rank by map\n"
              "rank 1\n  network: rank 0 by map\n  network: rank 2 by push\n"
              "rank 2\n  network: each other rank by map\n  network: rank x\n");
    EXPECT_EQ(
        report(
            {{"network: rank 1 up", "network: rank 2 up", "network: rank 4 up"}, {}, {}, {}, {}}),
        "all ranks\nrank 0\n  network: ranks 1-2,4 up\n");
}

TEST(Report, NcclsNumberHadTwoForms) {
    EXPECT_EQ(nccl_version_text(22809), "2.28.9");
    EXPECT_EQ(nccl_version_text(2708), "2.7.8");
    EXPECT_EQ(nccl_version_text(0), "unknown");
}

}  // namespace
}  // namespace mobula::tools
