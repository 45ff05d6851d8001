// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "runtime/run_folder.hpp"

namespace mobula::runtime {

/// While it lives, the ranks are meeting: when that takes longer than `limit`, the process ends
/// with exit code 1, and it is said once that ranks are missing; by slurm/run, which knows which,
/// else by the first rank that is there. Ranks that never come cannot be waited for in any other
/// way, since MPI's own calls have no end. *Thread-bound*.
class StartLimit {
public:
    StartLimit(std::chrono::duration<double> limit, std::string status_file);
    ~StartLimit();
    StartLimit(const StartLimit&) = delete;
    StartLimit& operator=(const StartLimit&) = delete;

private:
    void watch(std::chrono::duration<double> limit);

    std::string status_file_;
    RunFolder folder_;
    std::mutex mutex_;
    std::condition_variable over_;
    bool met_ = false;
    std::thread watcher_;
};

/// What the ranks of this machine need in /dev/shm to meet and to talk: empty when it is there,
/// else the sentence that says how much is missing. To be asked before MPI starts, which hangs
/// without.
[[nodiscard]] std::string lack_of_shared_memory();

}  // namespace mobula::runtime
