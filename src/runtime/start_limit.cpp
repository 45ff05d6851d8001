// SPDX-License-Identifier: Apache-2.0
#include "runtime/start_limit.hpp"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "native/launcher.hpp"
#include "runtime/status.hpp"

namespace mobula::runtime {

namespace {

/// Where nobody ends a rank that has told slurm/run of its wait, it ends by itself.
constexpr std::chrono::seconds wait_to_be_ended{15};
/// Each rank waits so much longer for all before it to speak, up to the last one's seconds.
constexpr unsigned last_to_speak_s = 5;

/// UCX maps so much there for each rank, for what comes from ranks of the machine, when it starts:
/// 4,292,720 bytes by 1.13, and some pages. Open MPI wants 4 MiB of it to be free before.
constexpr std::size_t shm_bytes_per_rank = std::size_t{4352} << 10U;

}  // namespace

StartLimit::StartLimit(std::chrono::duration<double> limit, std::string status_file)
    : status_file_(std::move(status_file)), folder_(status_file_) {
    if (native::launched().ranks > 1 && limit.count() > 0) {
        watcher_ = std::thread([this, limit] { watch(limit); });
    }
}

StartLimit::~StartLimit() {
    if (!watcher_.joinable()) return;
    {
        const std::lock_guard guard(mutex_);
        met_ = true;
    }
    over_.notify_all();
    watcher_.join();
}

void StartLimit::watch(std::chrono::duration<double> limit) {
    const auto met_within = [this](auto time) {
        std::unique_lock guard(mutex_);
        return over_.wait_for(guard, time, [this] { return met_; });
    };
    if (met_within(limit)) return;
    const unsigned rank = native::launched_rank();
    if (folder_.exists()) {
        folder_.note_wait(rank);
        if (met_within(wait_to_be_ended)) return;
        std::_Exit(1);
    }
    if (met_within(std::chrono::seconds(std::min(rank, last_to_speak_s)))) return;
    const std::string sentence = fmt::format(
        "not all {} ranks have come within {} s after rank {} (MOBULA_START_WITHIN_S); the job "
        "ends",
        native::launched().ranks, limit.count(), rank);
    std::fprintf(stderr, "mobula: %s\n", sentence.c_str());
    write_status(status_file_, 1, sentence);
    std::_Exit(1);
}

std::string lack_of_shared_memory() {
    const native::Launched launched = native::launched();
    struct statvfs space {};
    if (statvfs("/dev/shm", &space) != 0) return {};
    const std::size_t needed = launched.on_node * shm_bytes_per_rank;
    const std::size_t free = space.f_bavail * space.f_frsize;
    if (free >= needed) return {};
    std::array<char, 256> node{};
    gethostname(node.data(), node.size() - 1);
    return fmt::format(
        "/dev/shm on node {} has {} bytes free, and the job's ranks there ({}) need {} bytes; make "
        "it "
        "larger (docker: --shm-size), or use fewer ranks per node",
        node.data(), free, launched.on_node, needed);
}

}  // namespace mobula::runtime
