// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace mobula::native {

/// Why a file of this name must not be replaced, as one sentence; empty where it may be: there is
/// none of the name, or it is a regular file. A device, a link or a folder is somebody else's.
/// *Thread-safe*.
[[nodiscard]] std::string why_not_replaceable(const std::string& path);

/// Makes the text the whole content of the file: written beside it as `path`.part, then renamed, so
/// that a reader sees the old content or the new one. Returns why not, as one sentence, or an empty
/// string. *Reentrant*; one thread per path.
[[nodiscard]] std::string replace_file(const std::string& path, std::string_view text);

/// Whether this process can open nothing more: it has as many files as it may. *Thread-safe*.
[[nodiscard]] bool lacks_descriptors() noexcept;

}  // namespace mobula::native
