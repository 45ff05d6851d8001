// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace mobula {

/// While one lives, its thread drives the network of its rank, or does what keeps others from it:
/// no code of the user's may run there, since all other records wait for it. What needs such code
/// is given to the clerk (runtime/clerk.hpp). Thread-bound.
class Driving {
public:
    Driving() noexcept { ++depth_; }
    ~Driving() { --depth_; }
    Driving(const Driving&) = delete;
    Driving& operator=(const Driving&) = delete;

    /// Whether the calling thread does.
    [[nodiscard]] static bool now() noexcept { return depth_ != 0; }

private:
    friend class NotDriving;
    static inline thread_local constinit unsigned depth_ = 0;
};

/// While one lives, its thread does not count as driving: what has to be done there all the same.
class NotDriving {
public:
    NotDriving() noexcept : depth_(Driving::depth_) { Driving::depth_ = 0; }
    ~NotDriving() { Driving::depth_ = depth_; }
    NotDriving(const NotDriving&) = delete;
    NotDriving& operator=(const NotDriving&) = delete;

private:
    unsigned depth_;
};

}  // namespace mobula
