// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "base/ids.hpp"
#include "runtime/gathering.hpp"
#include "runtime/network.hpp"
#include "runtime/output.hpp"
#include "runtime/waits.hpp"
#include "wire/messages.hpp"
#include "worker/team.hpp"

namespace mobula::runtime {

/// Brings what tasks of this rank print to the driver's terminal, and what a task printed before
/// its result: lines go to rank 0 on the same ordered channel, so a result for rank 0 leaves after
/// them, and one for another rank when rank 0 has answered that it printed them. A task that
/// printed nothing pays for one load. Thread-safe.
class Forwarder {
public:
    Forwarder(Network& network, worker::Team& team, Waits& waits)
        : network_(network), team_(team), waits_(waits) {}

    /// Captures stdout until end(). On any rank but the driver's.
    void begin();
    /// Sends what is left and gives stdout back.
    void end();
    /// The process leaves in haste; see OutputCapture::fall_back.
    void fall_back() noexcept;

    /// Before the calling task's result, or its failure, becomes known to `reader`, or to ranks
    /// that are not known (nothing): what the task printed comes first. Suspends the task, and only
    /// if something was printed. Of what is printed past stdio only that of a task of at least
    /// `noticed_after` is waited for.
    void settle(std::optional<Rank> reader) noexcept;

    /// On rank 0: all lines that the rank has sent before are on the terminal.
    void on_ask(Rank from, const wire::AskOutput& message);
    void on_answer(const wire::OutputDone& message);

    static constexpr std::chrono::microseconds noticed_after{50};

private:
    void send(std::string_view line);
    void await_terminal();

    Network& network_;
    worker::Team& team_;
    Waits& waits_;
    std::optional<OutputCapture> capture_;
    std::atomic<std::uint64_t> sent_{0};     ///< lines
    std::atomic<std::uint64_t> printed_{0};  ///< of those, at least
    std::mutex mutex_;
    std::uint64_t next_question_ = 1;
    std::unordered_map<std::uint64_t, Gathering*> questions_;
};

}  // namespace mobula::runtime
