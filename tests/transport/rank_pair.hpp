// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "transport/cluster.hpp"

// For test programs that run on several ranks: a delegate that keeps what comes, and loops that
// drive a transport until something holds, awake or asleep.

namespace mobula::transport::testing {

inline std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

class Recorder final : public Delegate {
public:
    void on_record(Rank from, std::span<const std::byte> record) override {
        if (record.size() == arrival_bytes) {
            ++arrivals;
            return;
        }
        ++records;
        if (reinterpret_cast<std::uintptr_t>(record.data()) % 8 != 0) ++misaligned;
        if (hear) hear(from, record);
    }
    void on_peer_lost(Rank peer, std::string_view reason) override {
        lost.push_back(peer);
        reasons.emplace_back(reason);
    }
    void on_fenced(std::string_view reason) override { fenced = reason; }

    std::function<void(Rank, std::span<const std::byte>)> hear;
    std::uint64_t records = 0, misaligned = 0;
    std::vector<Rank> lost;
    std::vector<std::string> reasons;
    std::string fenced;

    /// Records of this size only tell that a rank has come to the next step of a test.
    static constexpr std::size_t arrival_bytes = 3;
    std::uint64_t arrivals = 0, steps = 0;
};

enum class Pace { spin, sleep };

/// Drives the transport until `holds()`; false when that takes longer than `limit`.
template <class Holds>
bool drive(Transport& transport, Pace pace, Holds&& holds,
           Duration limit = std::chrono::seconds(30)) {
    const Time end = Clock::now() + limit;
    Time next_tick = Clock::now();
    while (!holds()) {
        const Time now = Clock::now();
        if (now > end) return false;
        if (now >= next_tick) {
            transport.tick(now);
            next_tick = now + std::chrono::milliseconds(100);
        }
        if (!transport.progress() && pace == Pace::sleep) transport.wait(next_tick);
    }
    return true;
}

/// Waits until all ranks have come here, so that no record of one step reaches another.
inline bool meet_again(Transport& transport, Recorder& recorder, Pace pace) {
    const std::byte word[Recorder::arrival_bytes] = {};
    for (std::uint32_t r = 0; r < transport.ranks(); ++r) {
        if (Rank{r} != transport.self()) transport.send(Rank{r}, word);
    }
    const std::uint64_t expected = ++recorder.steps * (transport.ranks() - 1);
    return drive(transport, pace, [&] { return recorder.arrivals >= expected; });
}

}  // namespace mobula::transport::testing
