// SPDX-License-Identifier: Apache-2.0
#include "runtime/introduce.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/log.hpp"
#include "runtime/quantity.hpp"

namespace mobula::runtime {
namespace {

/// How many CPUs the first process may use: all of the machine or, in a container, of that.
std::size_t cpus_of_all() {
    cpu_set_t set;
    if (sched_getaffinity(1, sizeof set, &set) == 0)
        return static_cast<std::size_t>(CPU_COUNT(&set));
    return static_cast<std::size_t>(std::max(sysconf(_SC_NPROCESSORS_ONLN), 1L));
}

void tell_verbs(transport::Cluster& cluster) {
    // By verb and whether it is the same node: what differs otherwise is for `mobula doctor`.
    constexpr std::array<const char*, 3> verbs{"map", "get", "push"};
    const std::size_t self = index(cluster.self());
    std::array<std::array<std::vector<unsigned>, 3>, 2> peers;
    for (std::size_t rank = 0; rank < cluster.ranks(); ++rank) {
        if (rank == self) continue;
        const bool near = cluster.nodes()[rank] == cluster.nodes()[self];
        const auto verb = cluster.transport().verb(static_cast<Rank>(rank));
        peers.at(near ? 0 : 1)
            .at(static_cast<std::size_t>(verb))
            .push_back(static_cast<unsigned>(rank));
    }
    for (std::size_t place = 0; place < peers.size(); ++place) {
        for (std::size_t verb = 0; verb < verbs.size(); ++verb) {
            const std::vector<unsigned>& ranks = peers.at(place).at(verb);
            if (ranks.empty()) continue;
            log::info(fmt::format("large objects come by {} from {} {} on {}", verbs.at(verb),
                                  ranks.size() == 1 ? "rank" : "ranks", print_ranges(ranks),
                                  place == 0 ? "this node" : "other nodes"));
        }
    }
}

}  // namespace

bool is_bound(const native::Devices& devices) { return devices.cpus.size() < cpus_of_all(); }

void introduce(transport::Cluster& cluster, std::span<const native::Devices> devices,
               std::span<const Peer> peers) {
    const std::size_t self = index(cluster.self());
    if (log::enabled(log::Level::info)) {
        const Peer& own = peers[self];
        log::info(fmt::format("node {} ({}), {} CPUs {}, {} {}, GPUs {}",
                              index(cluster.nodes()[self]), cluster.host_names()[self],
                              is_bound(devices[self]) ? "is bound to" : "may use",
                              print_ranges(devices[self].cpus), own.workers,
                              own.workers == 1 ? "worker" : "workers", print_ranges(own.gpus)));
        if (self == 0) tell_verbs(cluster);
    }
    // Whoever is not bound shares the CPUs with good reason.
    if (!is_bound(devices[self])) return;
    for (const native::SharedCpus& shared : native::shared_cpus(devices, cluster.nodes())) {
        if (shared.ranks.front() != self) continue;
        const std::vector<unsigned> ranks(shared.ranks.begin(), shared.ranks.end());
        log::warning(fmt::format(
            "ranks {} on node {} are bound to the same CPUs {}, which they "
            "divide or take in turns; let the launcher give each its own",
            print_ranges(ranks), cluster.host_names()[self], print_ranges(shared.cpus)));
    }
}

}  // namespace mobula::runtime
