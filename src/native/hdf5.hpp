// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace mobula::native {

/// What an HDF5 call could not do, with the file and the name it was about.
class Hdf5Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// The element types that are stored; each becomes the HDF5 type of the same width and kind.
template <class T>
concept Hdf5Element =
    std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, std::int32_t> ||
    std::same_as<T, std::int64_t> || std::same_as<T, std::uint8_t> ||
    std::same_as<T, std::uint32_t> || std::same_as<T, std::uint64_t>;

/// Owns one HDF5 identifier and closes it by its kind (file, group, dataset, space, attribute).
class Hdf5Handle {
public:
    using Id = std::int64_t;
    using Close = int (*)(Id);

    Hdf5Handle() = default;
    Hdf5Handle(Id id, Close close) noexcept : id_(id), close_(close) {}
    Hdf5Handle(Hdf5Handle&& from) noexcept
        : id_(std::exchange(from.id_, -1)), close_(from.close_) {}
    Hdf5Handle& operator=(Hdf5Handle&& from) noexcept {
        std::swap(id_, from.id_);
        std::swap(close_, from.close_);
        return *this;
    }
    ~Hdf5Handle() {
        if (id_ >= 0) close();
    }
    [[nodiscard]] Id get() const noexcept { return id_; }

private:
    void close() noexcept;

    Id id_ = -1;
    Close close_ = nullptr;
};

/// One HDF5 file: numeric arrays as typed n-dimensional datasets under the names they are given
/// ("weights/conv1.bias"; groups are made on the way), numbers and texts as attributes of the root.
/// Built on the serial library, which serialises all calls of a process by one lock.
/// *Thread-bound*. Every method throws Hdf5Error; HDF5 itself prints nothing.
class Hdf5File {
public:
    /// A fresh file; one of that name is truncated.
    [[nodiscard]] static Hdf5File create(const std::filesystem::path& path);
    /// An existing file, for reading.
    [[nodiscard]] static Hdf5File open(const std::filesystem::path& path);

    /// The size of `elements` must be the product of the shape.
    template <Hdf5Element T>
    void write(const std::string& name, std::span<const std::size_t> shape,
               std::span<const T> elements);
    /// Refuses a dataset whose elements are not stored as T, and one above `elements_max`, which
    /// keeps a damaged file from asking for all memory.
    template <Hdf5Element T>
    [[nodiscard]] std::vector<T> read(const std::string& name,
                                      std::size_t elements_max = std::size_t{1} << 28) const;
    /// Nothing when the file has no dataset of that name.
    [[nodiscard]] std::optional<std::vector<std::size_t>> shape(const std::string& name) const;
    /// The names of what lies directly in a group, sorted; empty when there is no such group.
    [[nodiscard]] std::vector<std::string> names(const std::string& group) const;

    template <Hdf5Element T>
    void set_attribute(const std::string& name, T value);
    void set_attribute(const std::string& name, const std::string& text);
    /// Refuses an attribute that is not one number stored as T.
    template <Hdf5Element T>
    [[nodiscard]] T attribute(const std::string& name) const;
    [[nodiscard]] std::string text_attribute(const std::string& name) const;

    /// Writes everything to the disk itself, so that a rename after it never uncovers half a file.
    void sync();

private:
    Hdf5File(std::filesystem::path path, Hdf5Handle file) noexcept
        : path_(std::move(path)), file_(std::move(file)) {}
    [[nodiscard]] bool has(const std::string& name) const;
    [[nodiscard]] Hdf5Handle dataset(const std::string& name) const;
    [[nodiscard]] Hdf5Handle open_attribute(const std::string& name) const;

    std::filesystem::path path_;
    Hdf5Handle file_;
};

/// "HDF5 1.10.8": of the library that this process has loaded. *Thread-safe*.
[[nodiscard]] std::string hdf5_version();

}  // namespace mobula::native
