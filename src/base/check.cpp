// SPDX-License-Identifier: Apache-2.0
#include "base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace mobula {

void fail_check(std::string_view sentence, SourceLine where) noexcept {
    std::fprintf(stderr, "mobula: internal error: %.*s (%s:%u)\n",
                 static_cast<int>(sentence.size()), sentence.data(), where.file, where.line);
    std::abort();
}

}  // namespace mobula
