// SPDX-License-Identifier: Apache-2.0
#include "apps/weight_averaging/network.hpp"

#include <malloc.h>

#include <array>
#include <vector>

#include <torch/torch.h>

#include <mobula/error.hpp>

#include "apps/weight_averaging/parameters.hpp"

namespace weight_averaging {
namespace {

using Tensors = std::array<at::Tensor, parameters.size()>;

/// One tensor per parameter, each a part of the flat array, which is not copied.
Tensors parts_of(float* flat) {
    Tensors tensors;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        const std::vector<std::int64_t> shape(parameters[i].shape().begin(),
                                              parameters[i].shape().end());
        tensors[i] = at::from_blob(flat, shape, at::TensorOptions(at::kFloat));
        flat += parameters[i].size();
    }
    return tensors;
}

at::Tensor pixels_of(const Batch& batch) {
    // from_blob has no form for what is only read.
    return at::from_blob(
        const_cast<float*>(batch.pixels.data()),
        {static_cast<std::int64_t>(batch.labels.size()), 1, image_rows, image_columns},
        at::TensorOptions(at::kFloat));
}

/// The ten scores of each image. Pooling before the ReLU gives what the other order gives, with a
/// quarter of the work. The dense layers are convolutions of one pixel because these run in oneDNN,
/// while a matrix product goes to whatever BLAS is installed: Debian's default is the reference
/// one, with which a step takes nearly twice as long.
at::Tensor scores_of(const Tensors& weights, const at::Tensor& pixels) {
    const auto& [w1, b1, w2, b2, w3, b3, w4, b4] = weights;
    const auto as_pixel = [](const at::Tensor& matrix) { return matrix.unsqueeze(2).unsqueeze(3); };
    at::Tensor x = at::relu(at::max_pool2d(at::conv2d(pixels, w1, b1, 1, 2), 2));
    x = at::relu(at::max_pool2d(at::conv2d(x, w2, b2, 1, 2), 2));
    x = at::relu(at::conv2d(as_pixel(x.flatten(1)), as_pixel(w3), b3));
    return at::conv2d(x, as_pixel(w4), b4).flatten(1);
}

}  // namespace

struct Network::Impl {
    explicit Impl(std::span<float> flat)
        : weights(flat),
          gradient(flat.size()),
          velocity(flat.size()),
          tensors(parts_of(flat.data())) {
        const Tensors gradients = parts_of(gradient.data());
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            tensors[i].requires_grad_(true);
            tensors[i].mutable_grad() = gradients[i];
        }
    }

    std::span<float> weights;
    std::vector<float> gradient, velocity;
    Tensors tensors;
};

Network::Network(std::span<float> weights) {
    if (weights.size() != weights_size) {
        throw mobula::Error("a network has " + std::to_string(weights_size) + " weights, not " +
                            std::to_string(weights.size()));
    }
    impl_ = std::make_unique<Impl>(weights);
}
Network::Network(Network&&) noexcept = default;
Network& Network::operator=(Network&&) noexcept = default;
Network::~Network() = default;

double Network::train(const Batch& batch, double rate, double momentum) {
    at::set_num_threads(1);  // a setting of the calling thread
    Impl& net = *impl_;
    const at::Tensor labels = at::from_blob(const_cast<std::int64_t*>(batch.labels.data()),
                                            {static_cast<std::int64_t>(batch.labels.size())},
                                            at::TensorOptions(at::kLong));
    std::fill(net.gradient.begin(), net.gradient.end(), 0.0F);
    const at::Tensor loss =
        at::cross_entropy_loss(scores_of(net.tensors, pixels_of(batch)), labels);
    loss.backward();
    const auto rate_f = static_cast<float>(rate), momentum_f = static_cast<float>(momentum);
    for (std::size_t i = 0; i < net.weights.size(); ++i) {
        net.velocity[i] = momentum_f * net.velocity[i] + net.gradient[i];
        net.weights[i] -= rate_f * net.velocity[i];
    }
    return loss.item<double>();
}

std::size_t count_correct(std::span<const float> weights, const Batch& batch) {
    at::set_num_threads(1);
    const c10::InferenceMode no_gradients;
    const Tensors tensors = parts_of(const_cast<float*>(weights.data()));
    const at::Tensor found = scores_of(tensors, pixels_of(batch)).argmax(1);
    const auto* classes_found = found.data_ptr<std::int64_t>();
    std::size_t correct = 0;
    for (std::size_t i = 0; i < batch.labels.size(); ++i) {
        correct += classes_found[i] == batch.labels[i] ? 1 : 0;
    }
    return correct;
}

void keep_freed_memory() {
    // A step's largest tensors would otherwise be mapped, filled with zeros by the kernel and
    // unmapped again each time: a fifth of the whole time.
    constexpr int kept_bytes = 1 << 28;
    mallopt(M_MMAP_THRESHOLD, kept_bytes);
    mallopt(M_TRIM_THRESHOLD, kept_bytes);
}

}  // namespace weight_averaging
