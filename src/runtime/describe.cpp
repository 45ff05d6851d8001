// SPDX-License-Identifier: Apache-2.0
#include "runtime/describe.hpp"

#include <sys/resource.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>

#include <fmt/format.h>

#include "native/devices.hpp"
#include "runtime/engine.hpp"
#include "runtime/introduce.hpp"
#include "runtime/quantity.hpp"

namespace mobula::runtime {
namespace {

/// Rounded to a quarter of its unit.
std::string about(double bytes) {
    double unit = 1;
    while (unit * 1024 <= bytes) unit *= 1024;
    return print_bytes(std::max(std::round(bytes / unit * 4) / 4 * unit, 0.0));
}

void describe_place(std::vector<std::string>& lines, Engine& engine) {
    const auto& nodes = engine.network.cluster().nodes();
    const std::size_t self = index(engine.self());
    const auto neighbours = std::count(nodes.begin(), nodes.end(), nodes[self]);
    lines.push_back(fmt::format("ranks: {}", nodes.size()));
    lines.push_back(fmt::format("node: {} ({}), {} {}", index(nodes[self]),
                                engine.network.cluster().host_names()[self], neighbours,
                                neighbours == 1 ? "rank" : "ranks"));
}

void describe_devices(std::vector<std::string>& lines, Engine& engine) {
    const native::Devices devices = native::devices_of_process();
    const Peer& own = engine.peers[index(engine.self())];
    std::string cpus = fmt::format("cpus: {} are {}", print_ranges(devices.cpus),
                                   is_bound(devices) ? "bound" : "all of the node");
    if (devices.cpu_quota) cpus += fmt::format(", time of {} is granted", *devices.cpu_quota);
    lines.push_back(std::move(cpus));
    lines.push_back(
        fmt::format("workers: {}{}", own.workers,
                    own.crowded ? ", more on this node than CPUs: they take turns" : ""));
    std::string gpus;
    for (const native::Gpu& gpu : devices.gpus) {
        const bool ours = std::find(own.gpus.begin(), own.gpus.end(), gpu.number) != own.gpus.end();
        if (ours)
            gpus += fmt::format("{}{} ({})", gpus.empty() ? "" : ", ", gpu.number, gpu.identity);
    }
    lines.push_back("gpus: " + (gpus.empty() ? std::string("none") : gpus));
    lines.push_back("resources: " + scheduler::describe(own.resources));
    lines.push_back(fmt::format("memory: {} for the job on this node, arena of {} on this rank",
                                about(static_cast<double>(devices.memory_bytes)),
                                about(static_cast<double>(engine.options.arena_bytes))));
}

std::string limit(int resource, bool bytes) {
    rlimit value{};
    if (getrlimit(resource, &value) != 0) return "unknown";
    if (value.rlim_cur == RLIM_INFINITY) return "unlimited";
    const auto number = static_cast<double>(value.rlim_cur);
    return bytes ? about(number) : print_number(number);
}

void describe_limits(std::vector<std::string>& lines, const Options& options) {
    std::ifstream file("/proc/sys/vm/max_map_count");
    std::string mappings;
    if (std::getline(file, mappings)) {
        lines.push_back(fmt::format("limit: {} memory mappings, a waiting task takes 2", mappings));
        const std::optional<double> number = parse_number(mappings);
        if (number && 2.0 * static_cast<double>(options.suspended_max) > *number) {
            lines.push_back(
                fmt::format("warning: fewer than suspended_max = {} tasks can wait at once; raise "
                            "vm.max_map_count",
                            options.suspended_max));
        }
    }
    struct statvfs shm {};
    if (statvfs("/dev/shm", &shm) == 0) {
        const double total = static_cast<double>(shm.f_blocks) * static_cast<double>(shm.f_frsize);
        const double free = static_cast<double>(shm.f_bavail) * static_cast<double>(shm.f_frsize);
        lines.push_back(fmt::format("limit: {} of shared memory", about(total)));
        if (free < static_cast<double>(options.arena_bytes)) {
            lines.emplace_back("warning: less shared memory is free than the arena may need");
        }
    }
    lines.push_back(fmt::format("limit: {} open files", limit(RLIMIT_NOFILE, false)));
    lines.push_back(
        fmt::format("limit: {} of locked memory, which RDMA needs", limit(RLIMIT_MEMLOCK, true)));
}

}  // namespace

std::vector<std::string> describe() {
    Engine& engine = Engine::current();
    std::vector<std::string> lines;
    describe_place(lines, engine);
    describe_devices(lines, engine);
    for (const std::string& version : transport::library_versions()) {
        lines.push_back("library: " + version);
    }
    for (const std::string& fact : engine.network.transport().describe()) {
        if (!fact.starts_with("UCX ")) lines.push_back("network: " + fact);  // is above already
    }
    describe_limits(lines, engine.options);
    std::istringstream settings(engine.options.effective());
    for (std::string line; std::getline(settings, line);) lines.push_back("setting: " + line);
    return lines;
}

}  // namespace mobula::runtime
