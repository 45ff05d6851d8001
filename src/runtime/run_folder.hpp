// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/ids.hpp"

namespace mobula::runtime {

/// The folder that slurm/run makes for one run, in which it, the parents of the ranks
/// (slurm/rank_agent) and the ranks leave word for each other where no message can go: of ranks
/// that never came, or are gone. Without slurm/run there is none, and all of this does nothing.
///
/// *Thread-safe*: files are the only state.
class RunFolder {
public:
    /// The folder is the one of the status file, when slurm/run has marked it as its own.
    explicit RunFolder(const std::string& status_file);

    [[nodiscard]] bool exists() const noexcept { return !path_.empty(); }

    /// The ranks have met: an end from now on is told by the ranks that live.
    void note_met() const noexcept;
    /// This rank has waited for the others up to the start limit; one that has not left this is
    /// missing.
    void note_wait(unsigned rank) const noexcept;

    /// What the rank's parent says of its end, such as "signal 9 (Killed)"; empty while it says
    /// nothing, or has nobody to say it to.
    [[nodiscard]] std::string ending_of(Rank rank) const;

    struct End {
        Rank rank{};
        std::string ending;
    };
    /// The rank that ended first, as far as their parents say.
    [[nodiscard]] std::optional<End> first_end() const;

    /// Whether a rank has ended before the ranks have met; waits for a second to be told.
    [[nodiscard]] bool somebody_ended_early() const;

    /// Whether the caller shall say why the job ends: true for the first of all ranks that asks,
    /// and always where there is no folder. Async-signal-safe.
    [[nodiscard]] bool take_word() const noexcept;
    /// Gives up what slurm/run has kept for the last words of a run that has filled the file
    /// system. Async-signal-safe.
    void make_room() const noexcept;
    /// As runtime::write_status, in this folder. Async-signal-safe.
    void write_status(int code, std::string_view reason) const noexcept;

private:
    [[nodiscard]] std::optional<End> read_end(const std::string& name) const;

    std::string path_;
    std::string word_;  ///< the file of the rank that has the word
    std::string reserve_;
    std::string status_, part_;  ///< the status file, and where it is written
};

}  // namespace mobula::runtime
