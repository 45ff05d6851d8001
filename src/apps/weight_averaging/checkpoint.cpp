// SPDX-License-Identifier: Apache-2.0
#include "apps/weight_averaging/checkpoint.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <utility>

#include <mobula/error.hpp>

// The headers outside <mobula/...> that this program uses: the owner of HDF5 handles and the writer
// of files are no part of the engine, and second ones for programs would be the same again.
#include "native/file.hpp"
#include "native/hdf5.hpp"

#include "apps/weight_averaging/parameters.hpp"

namespace weight_averaging {
namespace {

using mobula::native::Hdf5Error;
using mobula::native::Hdf5File;

constexpr const char* format_name = "mobula weight_averaging 1";
constexpr std::size_t rounds_max = 10'000'000;

std::string dataset_name(const Parameter& parameter) {
    return "weights/" + std::string(parameter.name);
}

std::string text_of(std::span<const std::size_t> shape) {
    std::string text;
    for (const std::size_t extent : shape) {
        if (!text.empty()) text += 'x';
        text += std::to_string(extent);
    }
    return text;
}

template <class T, class Field>
void write_column(Hdf5File& file, const char* name, const Curve& curve, Field Point::*field) {
    std::vector<T> column(curve.size());
    std::transform(curve.begin(), curve.end(), column.begin(),
                   [&](const Point& point) { return point.*field; });
    const std::size_t size = column.size();
    file.write<T>(std::string("curve/") + name, {&size, 1}, column);
}

template <class T, class Field>
void read_column(const Hdf5File& file, const char* name, Curve& curve, Field Point::*field) {
    const std::vector<T> column = file.read<T>(std::string("curve/") + name, rounds_max);
    curve.resize(std::max(curve.size(), column.size()));
    for (std::size_t i = 0; i < column.size(); ++i) curve[i].*field = column[i];
}

void write_all(Hdf5File& file, const Checkpoint& checkpoint) {
    std::span<const float> left = checkpoint.weights;
    for (const Parameter& parameter : parameters) {
        file.write(dataset_name(parameter), parameter.shape(), left.first(parameter.size()));
        left = left.subspan(parameter.size());
    }
    if (!checkpoint.velocity.empty()) {
        const std::size_t size = checkpoint.velocity.size();
        file.write<double>("outer/velocity", {&size, 1}, checkpoint.velocity);
    }
    write_column<std::uint64_t>(file, "round", checkpoint.curve, &Point::round);
    write_column<std::uint64_t>(file, "images", checkpoint.curve, &Point::images);
    write_column<double>(file, "seconds", checkpoint.curve, &Point::seconds);
    write_column<double>(file, "loss", checkpoint.curve, &Point::loss);
    write_column<double>(file, "accuracy", checkpoint.curve, &Point::accuracy);
    file.set_attribute("format", std::string(format_name));
    file.set_attribute("rounds", checkpoint.rounds);
    file.set_attribute("seed", checkpoint.seed);
    file.set_attribute("images", checkpoint.images);
    file.set_attribute("accuracy", checkpoint.accuracy);
}

std::vector<float> read_weights(const Hdf5File& file, const std::filesystem::path& path) {
    const auto refuse = [&](const std::string& why) {
        throw mobula::BadInput("the checkpoint " + path.string() +
                               " is of another network: " + why);
    };
    std::vector<float> weights;
    for (const Parameter& parameter : parameters) {
        const std::string name(parameter.name);
        const auto shape = file.shape(dataset_name(parameter));
        if (!shape) {
            refuse("it has no " + name);
        } else if (!std::ranges::equal(*shape, parameter.shape())) {
            refuse(name + " is " + text_of(*shape) + " where " + text_of(parameter.shape()) +
                   " is expected");
        }
        const std::vector<float> part = file.read<float>(dataset_name(parameter), parameter.size());
        weights.insert(weights.end(), part.begin(), part.end());
    }
    for (const std::string& name : file.names("weights")) {
        if (std::ranges::none_of(parameters, [&](const Parameter& p) { return p.name == name; })) {
            refuse("it has " + name);
        }
    }
    if (!std::ranges::all_of(weights, [](float weight) { return std::isfinite(weight); })) {
        throw mobula::BadInput("the checkpoint " + path.string() +
                               " has weights that are no numbers");
    }
    return weights;
}

Checkpoint read_all(const Hdf5File& file, const std::filesystem::path& path) {
    Checkpoint checkpoint;
    checkpoint.weights = read_weights(file, path);
    if (file.text_attribute("format") != format_name) {
        throw mobula::BadInput("the checkpoint " + path.string() + " is of another version");
    }
    if (file.shape("outer/velocity")) {
        checkpoint.velocity = file.read<double>("outer/velocity", weights_size);
        if (checkpoint.velocity.size() != weights_size) {
            throw mobula::BadInput("the checkpoint " + path.string() +
                                   " has an outer velocity of another size");
        }
    }
    checkpoint.rounds = file.attribute<std::uint64_t>("rounds");
    checkpoint.seed = file.attribute<std::uint64_t>("seed");
    checkpoint.images = file.attribute<std::uint64_t>("images");
    checkpoint.accuracy = file.attribute<double>("accuracy");
    read_column<std::uint64_t>(file, "round", checkpoint.curve, &Point::round);
    read_column<std::uint64_t>(file, "images", checkpoint.curve, &Point::images);
    read_column<double>(file, "seconds", checkpoint.curve, &Point::seconds);
    read_column<double>(file, "loss", checkpoint.curve, &Point::loss);
    read_column<double>(file, "accuracy", checkpoint.curve, &Point::accuracy);
    return checkpoint;
}

/// Removes a file that was not finished.
class Unfinished {
public:
    explicit Unfinished(std::filesystem::path path) : path_(std::move(path)) {}
    Unfinished(const Unfinished&) = delete;
    Unfinished& operator=(const Unfinished&) = delete;
    ~Unfinished() {
        std::error_code ignored;
        if (!path_.empty()) std::filesystem::remove(path_, ignored);
    }
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
    /// Replaces a regular file only.
    void rename_to(const std::filesystem::path& name) {
        const std::string why = mobula::native::why_not_replaceable(name.string());
        if (!why.empty()) throw mobula::Error("the checkpoint " + why);
        std::filesystem::rename(path_, name);
        path_.clear();
    }

private:
    std::filesystem::path path_;
};

}  // namespace

void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint) {
    if (checkpoint.weights.size() != weights_size) {
        throw mobula::Error("a checkpoint has " + std::to_string(weights_size) + " weights, not " +
                            std::to_string(checkpoint.weights.size()));
    }
    Unfinished unfinished(path.string() + ".new-" + std::to_string(getpid()));
    {
        Hdf5File file = Hdf5File::create(unfinished.path());
        write_all(file, checkpoint);
        file.sync();
    }
    unfinished.rename_to(path);
}

Checkpoint read_checkpoint(const std::filesystem::path& path) {
    std::error_code error;  // such as a link that leads to itself
    if (!std::filesystem::is_regular_file(path, error)) {
        throw mobula::BadInput("there is no checkpoint " + path.string());
    }
    try {
        return read_all(Hdf5File::open(path), path);
    } catch (const Hdf5Error& error) {
        throw mobula::BadInput(std::string("the checkpoint cannot be used: ") + error.what());
    }
}

}  // namespace weight_averaging
