// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "apps/weight_averaging/dataset.hpp"

namespace weight_averaging {

/// The ConvNet on weights that lie elsewhere: a flat array in the order of `parameters`, which must
/// outlive it and is trained in place. libtorch stays behind this header. Thread-bound; computes on
/// the calling thread alone, as an engine that runs one task per CPU needs it.
class Network {
public:
    explicit Network(std::span<float> weights);
    Network(Network&&) noexcept;
    Network& operator=(Network&&) noexcept;
    ~Network();

    /// One step of stochastic gradient descent with momentum on a batch; its mean loss before.
    double train(const Batch& batch, double rate, double momentum);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// How many images of the batch a network with these weights takes for what they are.
[[nodiscard]] std::size_t count_correct(std::span<const float> weights, const Batch& batch);

/// Called once per process before the first network: memory that a training step frees is kept for
/// the next one.
void keep_freed_memory();

}  // namespace weight_averaging
