// SPDX-License-Identifier: Apache-2.0
#include "native/devices.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <set>
#include <stdexcept>

#include "base/check.hpp"

namespace mobula::native {
namespace {

template <class T>
std::optional<T> parse(std::string_view text) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

/// Takes the text up to the separator off the front, and the separator.
std::string_view take(std::string_view& text, char separator) {
    const std::string_view taken = text.substr(0, text.find(separator));
    text.remove_prefix(std::min(text.size(), taken.size() + 1));
    return taken;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (!text.empty()) parts.push_back(take(text, separator));
    return parts;
}

template <class T>
void lower(std::optional<T>& limit, const std::optional<T>& other) {
    if (other && (!limit || *other < *limit)) limit = other;
}

// ---- cgroups ----

std::string read_line(const std::filesystem::path& file) {
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);
    return line;
}

/// "max 100000", "150000 100000" of version 2; quota and period apart in version 1.
std::optional<double> cpus_of(std::string_view quota, std::string_view period) {
    const auto time = parse<double>(quota);
    const auto each = parse<double>(period);
    if (!time || !each || *time <= 0 || *each <= 0) return std::nullopt;
    return *time / *each;
}

/// "max" of version 2 and the rounded largest number of version 1 mean none.
std::optional<std::uint64_t> bytes_of(std::string_view text) {
    const auto bytes = parse<std::uint64_t>(text);
    if (!bytes || *bytes == 0 || *bytes >= std::uint64_t{1} << 60U) return std::nullopt;
    return bytes;
}

/// Calls `look` with the group's folder and those above it up to the root of its hierarchy. In a
/// container the path may be one of the host that is not mounted; then the root is the group.
template <class Look>
void climb(const std::filesystem::path& root, std::string_view path, Look look) {
    std::filesystem::path folder =
        (root / std::filesystem::path(path).relative_path()).lexically_normal();
    std::error_code ignored;
    while (folder != root && folder.native().starts_with(root.native())) {
        if (std::filesystem::is_directory(folder, ignored)) look(folder);
        folder = folder.parent_path();
    }
    look(root);
}

}  // namespace

CgroupLimits cgroup_limits(std::string_view membership, const std::filesystem::path& root) {
    CgroupLimits limits;
    for (std::string_view line : split(membership, '\n')) {
        take(line, ':');
        const std::string_view controllers = take(line, ':');
        const std::string_view path = line;
        if (controllers.empty()) {
            climb(root, path, [&](const std::filesystem::path& folder) {
                const std::string cpu = read_line(folder / "cpu.max");
                std::string_view period = cpu;
                const std::string_view quota = take(period, ' ');
                lower(limits.cpus, cpus_of(quota, period));
                lower(limits.memory_bytes, bytes_of(read_line(folder / "memory.max")));
            });
            continue;
        }
        for (const std::string_view controller : split(controllers, ',')) {
            const bool cpu = controller == "cpu", memory = controller == "memory";
            if (!cpu && !memory) continue;
            // Mounted as "cpu,cpuacct" with a link "cpu", or under the one name.
            climb(root / controller, path, [&](const std::filesystem::path& folder) {
                if (cpu) {
                    lower(limits.cpus, cpus_of(read_line(folder / "cpu.cfs_quota_us"),
                                               read_line(folder / "cpu.cfs_period_us")));
                } else {
                    lower(limits.memory_bytes,
                          bytes_of(read_line(folder / "memory.limit_in_bytes")));
                }
            });
        }
    }
    return limits;
}

// ---- the launcher's variables ----

std::vector<Gpu> visible_gpus(const Lookup& environment,
                              const std::optional<std::vector<std::string>>& driver) {
    std::vector<Gpu> gpus;
    const auto append = [&](std::string identity) {
        gpus.push_back({static_cast<unsigned>(gpus.size()), std::move(identity)});
    };
    const std::optional<std::string> cuda = environment("CUDA_VISIBLE_DEVICES");
    std::optional<std::string> list = cuda;
    if (!list) list = environment("SLURM_STEP_GPUS");
    if (!list) list = environment("SLURM_JOB_GPUS");
    if (!list) {
        if (driver) std::for_each(driver->begin(), driver->end(), append);
        return gpus;
    }
    for (const std::string_view entry : split(*list, ',')) {
        // As CUDA reads it: the first entry that names no GPU ends the list.
        if (const auto number = parse<unsigned>(entry)) {
            if (driver && *number >= driver->size()) {
                // Slurm counts the GPUs of the node, the driver only those that the job may open.
                if (cuda || gpus.size() >= driver->size()) break;
                append((*driver)[gpus.size()]);
            } else {
                append(driver ? (*driver)[*number] : "gpu " + std::string(entry));
            }
        } else if (entry.starts_with("GPU-") && driver) {
            const auto known = std::find_if(driver->begin(), driver->end(),
                                            [&](const auto& d) { return d.starts_with(entry); });
            if (known == driver->end()) break;
            append(*known);
        } else if (entry.starts_with("GPU-") || entry.starts_with("MIG-")) {
            append(std::string(entry));
        } else {
            break;
        }
    }
    return gpus;
}

unsigned ranks_on_node(const Lookup& environment) {
    for (const char* name : {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"}) {
        const auto value = environment(name);
        const auto ranks = value ? parse<unsigned>(*value) : std::nullopt;
        if (ranks && *ranks > 0) return *ranks;
    }
    // Open MPI's mpirun inside an allocation sets the first; what is left is srun, whose list is
    // as "2(x3),1" in the order of the step's nodes.
    const auto list = environment("SLURM_STEP_TASKS_PER_NODE");
    const auto node = environment("SLURM_NODEID");
    if (!list) return 1;
    auto left = node ? parse<unsigned>(*node).value_or(0) : 0;
    for (const std::string_view entry : split(*list, ',')) {
        std::string_view rest = entry;
        const auto ranks = parse<unsigned>(take(rest, '('));
        const auto nodes = rest.empty() ? 1U
                           : rest.size() > 2
                               ? parse<unsigned>(rest.substr(1, rest.size() - 2)).value_or(1)
                               : 1U;
        if (!ranks || *ranks == 0) return 1;
        if (left < nodes) return *ranks;
        left -= nodes;
    }
    return 1;
}

std::optional<std::uint64_t> slurm_memory_bytes(const Lookup& environment) {
    constexpr std::uint64_t mib = std::uint64_t{1} << 20U;
    const auto number = [&](const char* name) -> std::optional<std::uint64_t> {
        const auto value = environment(name);
        const auto parsed = value ? parse<std::uint64_t>(*value) : std::nullopt;
        // 0 stands for all memory of the node.
        if (!parsed || *parsed == 0 || *parsed > (std::uint64_t{1} << 40U)) return std::nullopt;
        return parsed;
    };
    if (const auto node = number("SLURM_MEM_PER_NODE")) return *node * mib;
    const auto each = number("SLURM_MEM_PER_CPU");
    const auto cpus = number("SLURM_CPUS_ON_NODE");
    if (each && cpus) return *each * *cpus * mib;
    return std::nullopt;
}

// ---- shares ----

std::uint64_t default_arena_bytes(const Devices& devices) noexcept {
    constexpr std::uint64_t mib = std::uint64_t{1} << 20U;
    const std::uint64_t ranks = std::max(devices.ranks_on_node, 1U);
    return std::max(devices.memory_bytes / 10 * 3 / ranks / mib, std::uint64_t{1}) * mib;
}

namespace {

/// How many CPUs the rank could keep busy if no other rank had them.
double cpus_of(const Devices& devices) {
    const double bound = static_cast<double>(std::max<std::size_t>(devices.cpus.size(), 1));
    return devices.cpu_quota ? std::min(bound, *devices.cpu_quota) : bound;
}

void share_cpus(std::span<const Devices> ranks, const std::vector<std::size_t>& members,
                std::span<const unsigned> wanted, std::vector<Share>& shares) {
    std::map<std::vector<unsigned>, std::vector<std::size_t>> by_mask;
    std::set<unsigned> all;
    std::optional<double> quota;
    for (const std::size_t rank : members) {
        by_mask[ranks[rank].cpus].push_back(rank);
        all.insert(ranks[rank].cpus.begin(), ranks[rank].cpus.end());
        if (ranks[rank].cpu_quota) quota = std::max(quota.value_or(0), *ranks[rank].cpu_quota);
    }
    double workers = 0;
    for (const auto& [mask, sharers] : by_mask) {
        const auto cpus = static_cast<std::size_t>(std::ceil(cpus_of(ranks[sharers.front()])));
        for (std::size_t i = 0; i < sharers.size(); ++i) {
            // The first ones get what does not divide evenly.
            const std::size_t even = cpus / sharers.size() + (i < cpus % sharers.size() ? 1U : 0U);
            Share& share = shares[sharers[i]];
            share.workers = wanted[sharers[i]] != 0
                                ? wanted[sharers[i]]
                                : static_cast<unsigned>(std::max<std::size_t>(even, 1));
            workers += share.workers;
        }
    }
    double cpus = static_cast<double>(std::max<std::size_t>(all.size(), 1));
    if (quota) cpus = std::min(cpus, std::ceil(*quota));
    for (const std::size_t rank : members) {
        shares[rank].crowded = workers > cpus;
        shares[rank].workers_per_cpu = workers / cpus;
    }
}

void share_gpus(std::span<const Devices> ranks, const std::vector<std::size_t>& members,
                std::vector<Share>& shares) {
    // Whoever has the fewest so far gets the next one, so that ranks with the same list get even
    // parts, and a GPU that only one rank sees is that rank's.
    std::map<std::string, std::vector<std::pair<std::size_t, unsigned>>> seen_by;
    std::vector<std::string> order;
    for (const std::size_t rank : members) {
        for (const Gpu& gpu : ranks[rank].gpus) {
            auto& seers = seen_by[gpu.identity];
            if (seers.empty()) order.push_back(gpu.identity);
            seers.emplace_back(rank, gpu.number);
        }
    }
    std::stable_sort(order.begin(), order.end(), [&](const auto& a, const auto& b) {
        return seen_by[a].size() < seen_by[b].size();
    });
    for (const std::string& identity : order) {
        const auto& seers = seen_by[identity];
        const auto least =
            std::min_element(seers.begin(), seers.end(), [&](const auto& a, const auto& b) {
                return shares[a.first].gpus.size() < shares[b.first].gpus.size();
            });
        shares[least->first].gpus.push_back(least->second);
    }
    for (const std::size_t rank : members) {
        std::sort(shares[rank].gpus.begin(), shares[rank].gpus.end());
    }
}

}  // namespace

std::vector<Share> share_devices(std::span<const Devices> ranks, std::span<const Node> nodes,
                                 std::span<const unsigned> wanted_workers) {
    check(nodes.size() == ranks.size() && wanted_workers.size() == ranks.size(),
          "every rank has a node");
    std::vector<Share> shares(ranks.size());
    std::map<Node, std::vector<std::size_t>> on_node;
    for (std::size_t i = 0; i < nodes.size(); ++i) on_node[nodes[i]].push_back(i);
    for (const auto& [node, members] : on_node) {
        share_cpus(ranks, members, wanted_workers, shares);
        share_gpus(ranks, members, shares);
    }
    return shares;
}

std::vector<SharedCpus> shared_cpus(std::span<const Devices> ranks, std::span<const Node> nodes) {
    check(nodes.size() == ranks.size(), "every rank has a node");
    std::map<Node, std::map<unsigned, std::vector<std::size_t>>> holders;
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
        for (const unsigned cpu : ranks[rank].cpus) holders[nodes[rank]][cpu].push_back(rank);
    }
    std::vector<SharedCpus> all;
    for (const auto& [node, cpus] : holders) {
        SharedCpus shared;
        std::set<std::size_t> who;
        for (const auto& [cpu, by] : cpus) {
            if (by.size() < 2) continue;
            shared.cpus.push_back(cpu);
            who.insert(by.begin(), by.end());
        }
        if (who.empty()) continue;
        shared.ranks.assign(who.begin(), who.end());
        all.push_back(std::move(shared));
    }
    std::sort(all.begin(), all.end(),
              [](const auto& a, const auto& b) { return a.ranks.front() < b.ranks.front(); });
    return all;
}

// ---- as text ----

// cpus=0,1 quota=1.5 memory=1024 ranks=2 gpu=0:GPU-abc gpu=1:GPU-def

std::string Devices::encode() const {
    std::string text = "cpus=";
    for (const unsigned cpu : cpus) {
        if (text.back() != '=') text += ',';
        text += std::to_string(cpu);
    }
    if (cpu_quota) {
        std::array<char, 32> digits{};  // std::to_string would write the locale's comma
        const auto end = std::to_chars(digits.begin(), digits.end(), *cpu_quota).ptr;
        text += "\tquota=" + std::string(digits.begin(), end);
    }
    text += "\tmemory=" + std::to_string(memory_bytes);
    text += "\tranks=" + std::to_string(ranks_on_node);
    for (const Gpu& gpu : gpus) {
        text += "\tgpu=" + std::to_string(gpu.number) + ":" + gpu.identity;
    }
    return text;
}

Devices Devices::decode(std::string_view text) {
    const auto sound = [](auto value) {
        if (!value) throw std::invalid_argument("a rank's list of its devices is damaged");
        return *value;
    };
    Devices devices;
    for (std::string_view field : split(text, '\t')) {
        const std::string_view name = take(field, '=');
        if (name == "cpus") {
            for (const std::string_view cpu : split(field, ',')) {
                devices.cpus.push_back(sound(parse<unsigned>(cpu)));
            }
        } else if (name == "quota") {
            devices.cpu_quota = sound(parse<double>(field));
            if (!(*devices.cpu_quota > 0)) sound(std::optional<double>());
        } else if (name == "memory") {
            devices.memory_bytes = sound(parse<std::uint64_t>(field));
        } else if (name == "ranks") {
            devices.ranks_on_node = sound(parse<unsigned>(field));
        } else if (name == "gpu") {
            const auto number = sound(parse<unsigned>(take(field, ':')));
            devices.gpus.push_back({number, std::string(field)});
        } else {
            sound(std::optional<int>());
        }
    }
    return devices;
}

}  // namespace mobula::native
