// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/wait.h>

#include "worker/watchers.hpp"

namespace mobula::worker {

/// For EXPECT_EXIT: the signal ended the process, or a sanitizer did that found it.
struct DiesOf {
    int signal;
    bool operator()(int status) const {
        if (watched()) return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
        return testing::KilledBySignal(signal)(status);
    }
};

inline void without_core() {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
}

}  // namespace mobula::worker
