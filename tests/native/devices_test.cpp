// SPDX-License-Identifier: Apache-2.0
/// Goal: a rank takes what it was given and no more, whoever gave it. Method: the pure parts with
/// the texts that systems, Slurm and launchers write, trees of cgroups in a temporary folder, and
/// shares of invented nodes.
#include "native/devices.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <stdexcept>

namespace mobula::native {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Lookup variables(std::map<std::string, std::string> values) {
    return [values = std::move(values)](const char* name) -> std::optional<std::string> {
        const auto found = values.find(name);
        return found == values.end() ? std::nullopt : std::optional(found->second);
    };
}

// ---- cgroups ----

class Cgroups : public testing::Test {
protected:
    Cgroups()
        : root_(std::filesystem::temp_directory_path() /
                ("mobula-cgroups-" + std::to_string(getpid()))) {}
    ~Cgroups() override { std::filesystem::remove_all(root_); }

    void write(const std::string& file, const std::string& text) const {
        std::filesystem::create_directories((root_ / file).parent_path());
        std::ofstream(root_ / file) << text << '\n';
    }

    std::filesystem::path root_;
};

TEST_F(Cgroups, Version2TakesTheLeastOnTheWayUp) {
    write("slurm/job1/step0/cpu.max", "max 100000");
    write("slurm/job1/step0/memory.max", "max");
    write("slurm/job1/cpu.max", "250000 100000");
    write("slurm/job1/memory.max", "4294967296");
    write("slurm/cpu.max", "800000 100000");
    write("slurm/memory.max", "8589934592");
    const CgroupLimits limits = cgroup_limits("0::/slurm/job1/step0\n", root_);
    EXPECT_EQ(limits.cpus, 2.5);
    EXPECT_EQ(limits.memory_bytes, std::uint64_t{4} << 30U);
}

TEST_F(Cgroups, Version1HasAFolderPerController) {
    write("cpu/job/cpu.cfs_quota_us", "50000");
    write("cpu/job/cpu.cfs_period_us", "100000");
    write("cpu/cpu.cfs_quota_us", "-1");
    write("cpu/cpu.cfs_period_us", "100000");
    write("memory/job/memory.limit_in_bytes", "1073741824");
    write("memory/memory.limit_in_bytes", "9223372036854771712");
    const CgroupLimits limits =
        cgroup_limits("7:memory:/job\n4:cpu,cpuacct:/job\n1:name=systemd:/x\n0::/job\n", root_);
    EXPECT_EQ(limits.cpus, 0.5);
    EXPECT_EQ(limits.memory_bytes, std::uint64_t{1} << 30U);
}

TEST_F(Cgroups, APathOfTheHostMeansTheRoot) {
    write("cpu.max", "200000 100000");
    EXPECT_EQ(cgroup_limits("0::/docker/0123/../../elsewhere\n", root_).cpus, 2);
    EXPECT_EQ(cgroup_limits("0::/\n", root_).cpus, 2);
}

TEST_F(Cgroups, DamagedFilesLimitNothing) {
    write("cpu.max", "lots");
    write("memory.max", "-5");
    const CgroupLimits limits = cgroup_limits("0::/\ngarbage\n:::\n\n", root_);
    EXPECT_FALSE(limits.cpus);
    EXPECT_FALSE(limits.memory_bytes);
}

// ---- variables ----

std::vector<std::string> identities(const std::vector<Gpu>& gpus) {
    std::vector<std::string> result;
    for (const Gpu& gpu : gpus) {
        EXPECT_EQ(gpu.number, result.size());
        result.push_back(gpu.identity);
    }
    return result;
}
std::vector<std::string> cuda(const std::string& list,
                              const std::optional<std::vector<std::string>>& driver = {}) {
    return identities(visible_gpus(variables({{"CUDA_VISIBLE_DEVICES", list}}), driver));
}

TEST(VisibleGpus, AreReadAsCudaReadsThem) {
    EXPECT_THAT(cuda("0,1"), ElementsAre("gpu 0", "gpu 1"));
    EXPECT_THAT(cuda("3"), ElementsAre("gpu 3"));
    EXPECT_THAT(cuda("GPU-aa,MIG-bb"), ElementsAre("GPU-aa", "MIG-bb"));
    for (const char* none : {"", "-1", "none", "NoDevFiles", ",0", " 0"}) {
        EXPECT_THAT(cuda(none), IsEmpty()) << none;
    }
    EXPECT_THAT(cuda("0,-1,1"), ElementsAre("gpu 0"));
}

TEST(VisibleGpus, AreNamedByTheDriver) {
    const std::vector<std::string> driver{"GPU-aa11", "GPU-bb22"};
    EXPECT_THAT(cuda("1,0", driver), ElementsAre("GPU-bb22", "GPU-aa11"));
    EXPECT_THAT(cuda("GPU-bb", driver), ElementsAre("GPU-bb22"));
    EXPECT_THAT(cuda("0,7,1", driver), ElementsAre("GPU-aa11"));
    EXPECT_THAT(cuda("GPU-cc", driver), IsEmpty());
    EXPECT_THAT(identities(visible_gpus(variables({}), driver)),
                ElementsAre("GPU-aa11", "GPU-bb22"));
    EXPECT_THAT(visible_gpus(variables({}), std::nullopt), IsEmpty());
}

TEST(VisibleGpus, OfASlurmStep) {
    const Lookup step = variables({{"SLURM_STEP_GPUS", "2,3"}, {"SLURM_JOB_GPUS", "0,1,2,3"}});
    EXPECT_THAT(identities(visible_gpus(step, std::nullopt)), ElementsAre("gpu 2", "gpu 3"));
    // The cgroup lets the step open two, which the driver counts from 0.
    const std::vector<std::string> driver{"GPU-cc", "GPU-dd"};
    EXPECT_THAT(identities(visible_gpus(step, driver)), ElementsAre("GPU-cc", "GPU-dd"));
    EXPECT_THAT(identities(visible_gpus(variables({{"SLURM_JOB_GPUS", "1"}}), std::nullopt)),
                ElementsAre("gpu 1"));
}

TEST(RanksOnNode, ByEachLauncher) {
    EXPECT_EQ(ranks_on_node(variables({})), 1U);
    EXPECT_EQ(ranks_on_node(variables({{"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}})), 4U);
    EXPECT_EQ(ranks_on_node(variables({{"MPI_LOCALNRANKS", "3"}})), 3U);
    const auto slurm = [](const char* list, const char* node) {
        return ranks_on_node(
            variables({{"SLURM_STEP_TASKS_PER_NODE", list}, {"SLURM_NODEID", node}}));
    };
    EXPECT_EQ(slurm("2", "0"), 2U);
    EXPECT_EQ(slurm("2(x3),1", "2"), 2U);
    EXPECT_EQ(slurm("2(x3),1", "3"), 1U);
    EXPECT_EQ(slurm("4,8(x2)", "1"), 8U);
    for (const char* bad : {"", "x", "0", "2(x", "(x3)", "2("}) {
        EXPECT_GE(slurm(bad, "5"), 1U) << bad;
    }
}

TEST(SlurmMemory, PerNodeOrPerCpu) {
    EXPECT_FALSE(slurm_memory_bytes(variables({})));
    EXPECT_EQ(slurm_memory_bytes(variables({{"SLURM_MEM_PER_NODE", "2048"}})),
              std::uint64_t{2} << 30U);
    EXPECT_EQ(
        slurm_memory_bytes(variables({{"SLURM_MEM_PER_CPU", "1024"}, {"SLURM_CPUS_ON_NODE", "4"}})),
        std::uint64_t{4} << 30U);
    EXPECT_FALSE(slurm_memory_bytes(variables({{"SLURM_MEM_PER_NODE", "0"}})));
}

// ---- shares ----

Devices cpus(std::vector<unsigned> numbers) {
    Devices devices;
    devices.cpus = std::move(numbers);
    return devices;
}

std::vector<unsigned> workers(const std::vector<Share>& shares) {
    std::vector<unsigned> result;
    for (const Share& share : shares) result.push_back(share.workers);
    return result;
}

TEST(Shares, RanksWithTheSameCpusDivideThem) {
    const std::vector<Devices> ranks{cpus({0, 1, 2}), cpus({0, 1, 2}), cpus({0, 1, 2})};
    const Node a{0}, b{1};
    const std::vector<unsigned> automatic(3, 0);
    const auto shares = share_devices(ranks, std::vector{a, a, b}, automatic);
    EXPECT_THAT(workers(shares), ElementsAre(2, 1, 3));
    EXPECT_FALSE(shares[0].crowded || shares[2].crowded);
}

TEST(Shares, BoundRanksKeepTheirs) {
    const std::vector<Devices> ranks{cpus({0, 1}), cpus({2, 3})};
    const std::vector<unsigned> automatic(2, 0);
    EXPECT_THAT(workers(share_devices(ranks, std::vector(2, Node{}), automatic)),
                ElementsAre(2, 2));
}

TEST(Shares, CpusOfSeveralRanksAreTold) {
    const Node a{0}, b{1};
    const std::vector<Devices> ranks{cpus({0, 1}), cpus({0, 1}), cpus({1, 2}), cpus({0, 1}),
                                     cpus({3})};
    const std::vector<SharedCpus> shared = shared_cpus(ranks, std::vector{a, b, a, b, a});
    ASSERT_EQ(shared.size(), 2U);
    EXPECT_THAT(shared[0].ranks, ElementsAre(0, 2));
    EXPECT_THAT(shared[0].cpus, ElementsAre(1));
    EXPECT_THAT(shared[1].ranks, ElementsAre(1, 3));
    EXPECT_THAT(shared[1].cpus, ElementsAre(0, 1));
    EXPECT_THAT(shared_cpus(ranks, std::vector{Node{0}, Node{1}, Node{2}, Node{3}, Node{4}}),
                IsEmpty());
}

TEST(Shares, MoreRanksThanCpusAreCrowded) {
    const std::vector<Devices> ranks(64, cpus({0, 1}));
    const std::vector<unsigned> automatic(64, 0);
    for (const Share& share : share_devices(ranks, std::vector(64, Node{}), automatic)) {
        EXPECT_EQ(share.workers, 1U);
        EXPECT_TRUE(share.crowded);
        EXPECT_EQ(share.workers_per_cpu, 32);
    }
}

TEST(Shares, AQuotaCountsLikeFewerCpus) {
    Devices limited = cpus({0, 1, 2, 3, 4, 5, 6, 7});
    limited.cpu_quota = 1.5;
    const std::vector<Devices> ranks{limited};
    const std::vector<unsigned> automatic{0}, four{4};
    const std::vector node{Node{}};
    EXPECT_EQ(share_devices(ranks, node, automatic)[0].workers, 2U);
    EXPECT_FALSE(share_devices(ranks, node, automatic)[0].crowded);
    EXPECT_EQ(share_devices(ranks, node, four)[0].workers, 4U);
    EXPECT_TRUE(share_devices(ranks, node, four)[0].crowded);
}

TEST(Shares, EachGpuGoesToOneRank) {
    Devices all = cpus({0, 1});
    all.gpus = {{0, "a"}, {1, "b"}, {2, "c"}};
    Devices own = cpus({0, 1});
    own.gpus = {{0, "d"}};
    const std::vector<unsigned> automatic(3, 0);
    auto shares = share_devices(std::vector{all, all, own}, std::vector(3, Node{}), automatic);
    EXPECT_THAT(shares[0].gpus, ElementsAre(0, 2));
    EXPECT_THAT(shares[1].gpus, ElementsAre(1));
    EXPECT_THAT(shares[2].gpus, ElementsAre(0));
    // On nodes of their own the same names are other GPUs.
    shares = share_devices(std::vector{all, all, own}, std::vector{Node{0}, Node{1}, Node{1}},
                           automatic);
    EXPECT_THAT(shares[0].gpus, ElementsAre(0, 1, 2));
    EXPECT_THAT(shares[1].gpus, ElementsAre(0, 1, 2));
}

TEST(Arena, IsAShareOfTheMemory) {
    Devices devices;
    devices.memory_bytes = std::uint64_t{10} << 30U;
    devices.ranks_on_node = 3;
    EXPECT_EQ(default_arena_bytes(devices), std::uint64_t{1} << 30U);
    devices.memory_bytes = 0;
    EXPECT_GT(default_arena_bytes(devices), 0U);
}

TEST(Devices, TravelAsTextAndAreNotTrusted) {
    Devices devices = cpus({0, 5, 70});
    devices.cpu_quota = 2.5;
    devices.memory_bytes = 123456789;
    devices.ranks_on_node = 4;
    devices.gpus = {{0, "GPU-a:b"}, {3, "gpu 3"}};
    EXPECT_EQ(Devices::decode(devices.encode()), devices);
    EXPECT_EQ(Devices::decode(Devices().encode()), Devices());
    for (const char* bad :
         {"x", "cpus=a", "cpus=1,,2", "memory=-1", "quota=0", "quota=nan", "gpu=x:y", "ranks="}) {
        EXPECT_THROW(static_cast<void>(Devices::decode(bad)), std::invalid_argument) << bad;
    }
}

TEST(Devices, OfThisProcessAreThere) {
    const Devices devices = devices_of_process();
    EXPECT_FALSE(devices.cpus.empty());
    EXPECT_GT(devices.memory_bytes, 1U << 20U);
    EXPECT_EQ(Devices::decode(devices.encode()).cpus, devices.cpus);
}

}  // namespace
}  // namespace mobula::native
