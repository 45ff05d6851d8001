// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fatal_signals.hpp"
#include "base/ids.hpp"
#include "native/fd.hpp"
#include "runtime/network.hpp"
#include "runtime/run_folder.hpp"
#include "wire/messages.hpp"

namespace mobula::runtime {

/// Why the job ends before its time.
struct Cause {
    std::string reason;  ///< the sentence; of a rank that was lost, how that showed
    int code = 1;        ///< of the job
    std::optional<Rank> lost = {};
    bool said = false;  ///< on stderr, by the rank where it happened
};

/// Why the job ends is said by exactly one rank, with the first cause: by the lowest that lives.
/// Others send it what they know and wait to hear from it; when it is lost, the next one is asked.
/// In a run of slurm/run the first rank that takes the word in the run's folder says it, so that
/// also one that is just dying can. *Thread-safe*.
class LastWord {
public:
    struct Actions {
        /// What this rank has sent there and has no result of, for people; or nothing.
        std::function<std::string(Rank rank)> describe_sent;
        /// What the calling thread runs, as running_name() says; async-signal-safe.
        std::string_view (*running_name)() noexcept;
        /// Ends the process with the code; does not return.
        std::function<void(int code)> leave;
    };
    LastWord(Network& network, std::string status_file, Actions actions);
    ~LastWord();
    LastWord(const LastWord&) = delete;
    LastWord& operator=(const LastWord&) = delete;

    /// The job shall end. Only the first cause counts.
    void begin(Cause cause) noexcept;
    [[nodiscard]] bool begun() const noexcept { return begun_.load(std::memory_order_relaxed); }
    /// On rank 0, when the driver has ended with the code: that is the end of the job, which needs
    /// a sentence or not, and what happens from now on is not told. False where another cause was
    /// first; then what the driver did follows from it, and await() is all that is left to do.
    [[nodiscard]] bool close(int code, bool needs_sentence) noexcept;
    /// The rank is gone.
    void lose(Rank rank, std::string_view how) noexcept;
    /// A rank after this one knows a cause; one before it has said it. Throws on a bad record.
    void hear(Rank from, const wire::Broken& message);
    /// From the communication thread: leaves when the others have heard.
    void tick() noexcept;
    /// For a thread of a rank that has a cause: waits until the process leaves.
    [[noreturn]] static void await() noexcept;

    /// A hook for fatal signals: says which rank died, of what, and what ran there.
    static void tell_death(fatal::Event& event) noexcept;

private:
    static void at_exit(int code, void* nothing) noexcept;
    [[nodiscard]] Rank speaker() noexcept;
    [[nodiscard]] std::string place_of(Rank rank) const;
    [[nodiscard]] std::string sentence_of_loss(Rank rank, std::string_view how) const;
    void pass_on() noexcept;
    void speak() noexcept;
    void write(const std::string& sentence) const noexcept;

    static inline std::atomic<LastWord*> current_{nullptr};

    Network& network_;
    const std::string status_file_;
    const Actions actions_;
    const RunFolder folder_;
    const pid_t process_;
    const std::string place_;  ///< of this rank, "rank 1 on node n3"
    native::Fd spare_;         ///< kept for the last word, which may be that there are none left
    std::atomic<bool> begun_{false};
    std::mutex mutex_;  ///< of what follows
    Cause cause_;
    std::vector<bool> lost_;
    bool spoken_ = false;
    bool closed_ = false;                  ///< the driver's end is the job's
    int code_ = 0;                         ///< the driver's, then
    Cause exit_;                           ///< of a thread that called exit()
    std::atomic<bool> exits_{false};       ///< it is there
    std::atomic<bool> leaves_{false};      ///< it has spoken
    int ticks_ = 0;                        ///< since then
    FixedText death_;                      ///< this rank's own
    std::atomic<bool> dying_{false};       ///< it is there
    std::atomic<bool> death_told_{false};  ///< to the others
};

}  // namespace mobula::runtime
