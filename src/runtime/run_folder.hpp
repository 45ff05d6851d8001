// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

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

    /// The ranks have met: an end from now on is told by those who live.
    void note_met() const noexcept;
    /// This rank has waited for the others up to the start limit; who has not left this is missing.
    void note_wait(unsigned rank) const noexcept;

    /// What the rank's parent says of its end, such as "signal 9 (Killed)"; empty while it says
    /// nothing, or has nobody to say it to.
    [[nodiscard]] std::string ending_of(Rank rank) const;

private:
    std::string path_;
};

}  // namespace mobula::runtime
