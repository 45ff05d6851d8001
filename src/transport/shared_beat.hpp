// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "store/arena.hpp"

namespace mobula::transport {

/// Signs of life for the ranks of the same node: a number in memory that they map, which a thread
/// of its own raises once a period. It goes on whatever this rank is busy with, also while the
/// user's code runs where the network is driven, and stands still with a process that does.
///
/// *Thread-safe* but for start() and stop(), which belong to one thread.
class SharedBeat {
public:
    SharedBeat();
    /// As stop().
    ~SharedBeat();
    SharedBeat(const SharedBeat&) = delete;
    SharedBeat& operator=(const SharedBeat&) = delete;

    /// What a rank of the same node needs to look at it; for Watched.
    [[nodiscard]] std::vector<std::byte> ticket() const;

    void start(Duration period);
    /// Raises the number no more. Waits for the thread.
    void stop() noexcept;

    /// The number of another rank. *Thread-bound*.
    class Watched {
    public:
        /// Null when the memory cannot be mapped here.
        [[nodiscard]] static std::unique_ptr<Watched> open(std::span<const std::byte> ticket);
        /// Whether it was raised since the last call, or the first time.
        [[nodiscard]] bool beaten() noexcept;

    private:
        std::unique_ptr<store::PeerArena> memory_;
        const std::atomic<std::uint64_t>* number_ = nullptr;
        std::uint64_t seen_ = 0;
    };

private:
    void run(Duration period);

    store::Arena memory_;
    std::atomic<std::uint64_t>* number_ = nullptr;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool stopping_ = false;  ///< guarded by the mutex
    std::thread thread_;
};

}  // namespace mobula::transport
