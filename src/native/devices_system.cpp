// SPDX-License-Identifier: Apache-2.0
#include <dlfcn.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>

#include "native/devices.hpp"

namespace mobula::native {
namespace {

std::vector<unsigned> affinity() {
    std::vector<unsigned> cpus;
    // The kernel refuses a set that is smaller than its own; double it until it is not.
    for (int count = 1024; count <= 1 << 20; count *= 2) {
        const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(
            CPU_ALLOC(count), [](cpu_set_t* s) { CPU_FREE(s); });
        const std::size_t bytes = CPU_ALLOC_SIZE(count);
        CPU_ZERO_S(bytes, set.get());
        if (sched_getaffinity(0, bytes, set.get()) != 0) continue;
        for (int cpu = 0; cpu < count; ++cpu) {
            if (CPU_ISSET_S(cpu, bytes, set.get())) cpus.push_back(static_cast<unsigned>(cpu));
        }
        break;
    }
    if (cpus.empty()) {
        const long online = std::max(sysconf(_SC_NPROCESSORS_ONLN), 1L);
        for (long cpu = 0; cpu < online; ++cpu) cpus.push_back(static_cast<unsigned>(cpu));
    }
    return cpus;
}

/// The driver's management library, opened for as long as this lives. Its symbols and types are
/// looked up by hand, so that neither building nor running needs it.
class Driver {
public:
    Driver() : library_(dlopen("libnvidia-ml.so.1", RTLD_LAZY | RTLD_LOCAL)) {
        if (library_ == nullptr) return;
        const auto init = symbol<int()>("nvmlInit_v2");
        running_ = init != nullptr && init() == success;
    }
    Driver(const Driver&) = delete;
    Driver& operator=(const Driver&) = delete;
    ~Driver() {
        if (const auto shutdown = symbol<int()>("nvmlShutdown"); running_ && shutdown != nullptr) {
            shutdown();
        }
        if (library_ != nullptr) dlclose(library_);
    }

    /// The names of the GPUs that this process may open, by number; nothing without a driver.
    [[nodiscard]] std::optional<std::vector<std::string>> names() const {
        if (!running_) return std::nullopt;
        const auto count_of = symbol<int(unsigned*)>("nvmlDeviceGetCount_v2");
        const auto handle_of = symbol<int(unsigned, void**)>("nvmlDeviceGetHandleByIndex_v2");
        const auto name_of = symbol<int(void*, char*, unsigned)>("nvmlDeviceGetUUID");
        unsigned count = 0;
        if (count_of == nullptr || handle_of == nullptr || name_of == nullptr ||
            count_of(&count) != success) {
            return std::nullopt;
        }
        std::vector<std::string> names;
        for (unsigned i = 0; i < count; ++i) {
            void* handle = nullptr;
            std::array<char, 128> name{};
            if (handle_of(i, &handle) != success ||
                name_of(handle, name.data(), static_cast<unsigned>(name.size())) != success) {
                continue;
            }
            names.emplace_back(name.data());
        }
        return names;
    }

private:
    static constexpr int success = 0;

    template <class Function>
    [[nodiscard]] Function* symbol(const char* name) const {
        return library_ == nullptr ? nullptr : reinterpret_cast<Function*>(dlsym(library_, name));
    }

    void* library_;
    bool running_ = false;
};

}  // namespace

Devices devices_of_process() {
    const Lookup environment = [](const char* name) -> std::optional<std::string> {
        const char* const value = std::getenv(name);
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
    };
    std::ifstream file("/proc/self/cgroup");
    const std::string membership{std::istreambuf_iterator<char>(file), {}};
    const CgroupLimits limits = cgroup_limits(membership, "/sys/fs/cgroup");

    Devices devices;
    devices.cpus = affinity();
    devices.cpu_quota = limits.cpus;
    // Starting the driver takes a while; not where no GPU is given anyway.
    const bool none =
        environment("CUDA_VISIBLE_DEVICES") && visible_gpus(environment, std::nullopt).empty();
    if (!none) devices.gpus = visible_gpus(environment, Driver().names());
    devices.memory_bytes = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                           static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    for (const auto& limit : {limits.memory_bytes, slurm_memory_bytes(environment)}) {
        if (limit) devices.memory_bytes = std::min(devices.memory_bytes, *limit);
    }
    devices.ranks_on_node = ranks_on_node(environment);
    return devices;
}

}  // namespace mobula::native
