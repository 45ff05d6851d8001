// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace mobula {

/// While one lives, its thread encodes a value, by a serialize of the user's. Buffers of the thread
/// are in use then, as a stack of them, so that such code may submit tasks but must not wait: the
/// thread would run others meanwhile. Thread-bound.
class Encoding {
public:
    Encoding() noexcept { ++depth_; }
    ~Encoding() { --depth_; }
    Encoding(const Encoding&) = delete;
    Encoding& operator=(const Encoding&) = delete;

    /// Whether the calling thread does.
    [[nodiscard]] static bool now() noexcept { return depth_ != 0; }

private:
    static inline thread_local constinit unsigned depth_ = 0;
};

}  // namespace mobula
