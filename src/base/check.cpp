// SPDX-License-Identifier: Apache-2.0
#include "base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace mobula {

void fail_check(std::string_view sentence, std::source_location where) noexcept {
    std::fprintf(stderr, "mobula: internal error: %.*s (%s:%u, %s)\n",
                 static_cast<int>(sentence.size()), sentence.data(), where.file_name(),
                 static_cast<unsigned>(where.line()), where.function_name());
    std::abort();
}

}  // namespace mobula
