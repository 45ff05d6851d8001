// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace mobula::tools {

/// The facts of all ranks as text: what all say first and once, then by rank what only some say.
/// Facts of the form "network: rank 3 ..." that a rank tells of several others become one. `all`
/// has an element per rank. Pure.
[[nodiscard]] std::string report(const std::vector<std::vector<std::string>>& all);

/// "2.28.9" of NCCL's own number, which had two forms; "unknown" of none.
[[nodiscard]] std::string nccl_version_text(int number);

}  // namespace mobula::tools
