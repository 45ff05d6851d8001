// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace weight_averaging {

/// A stream of random numbers named by a seed and a number (SplitMix64). Own code, because the
/// distributions of the standard library differ between its makers, and because torch's generator
/// is one per process and so would give results that depend on which actors share a rank.
class Random {
public:
    explicit Random(std::uint64_t seed, std::uint64_t stream = 0) noexcept
        : state_(mixed(seed) ^ mixed(stream + 0x5851f42d4c957f2d)) {}

    std::uint64_t next() noexcept { return mixed(state_ += 0x9e3779b97f4a7c15); }

    /// Evenly in 0 .. bound - 1; the bias of the multiplication is below bound / 2^32.
    std::uint32_t below(std::uint32_t bound) noexcept {
        return static_cast<std::uint32_t>((next() >> 32) * bound >> 32);
    }

    /// Evenly in [-bound, bound).
    float symmetric(float bound) noexcept {
        const auto unit = static_cast<float>(next() >> 40) * 0x1p-24F;
        return (2 * unit - 1) * bound;
    }

private:
    static constexpr std::uint64_t mixed(std::uint64_t z) noexcept {
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    std::uint64_t state_;
};

}  // namespace weight_averaging
