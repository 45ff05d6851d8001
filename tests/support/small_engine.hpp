// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

namespace mobula::test {

/// What unit tests of the graph and the workers link instead of the runtime: objects go at once
/// with their last reference, blocks lie on the heap.

/// Objects disposed of since the program began.
extern std::atomic<std::uint64_t> objects_disposed;

}  // namespace mobula::test
