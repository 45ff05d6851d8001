// SPDX-License-Identifier: Apache-2.0
#include "native/hdf5.hpp"

#include <hdf5.h>
#include <unistd.h>

#include <algorithm>
#include <exception>

namespace mobula::native {
namespace {

static_assert(std::same_as<hid_t, Hdf5Handle::Id>);

/// Keeps HDF5 from printing its error stack while it lives; the setting is one per thread. It stays
/// so after an error. Nor does HDF5 close what is open as the process ends: of a damaged file it
/// may be unable to, and would print that. What is used here is closed by its owner.
class Silence {
public:
    Silence() noexcept {
        static const herr_t closes_nothing_at_exit = H5dont_atexit();
        static_cast<void>(closes_nothing_at_exit);
        H5Eget_auto2(H5E_DEFAULT, &print_, &context_);
        H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    }
    Silence(const Silence&) = delete;
    Silence& operator=(const Silence&) = delete;
    ~Silence() {
        if (std::uncaught_exceptions() == exceptions_) {
            H5Eset_auto2(H5E_DEFAULT, print_, context_);
        }
    }

private:
    int exceptions_ = std::uncaught_exceptions();
    H5E_auto2_t print_ = nullptr;
    void* context_ = nullptr;
};

template <Hdf5Element T>
hid_t type_of() {
    if constexpr (std::same_as<T, float>) return H5T_NATIVE_FLOAT;
    if constexpr (std::same_as<T, double>) return H5T_NATIVE_DOUBLE;
    if constexpr (std::same_as<T, std::int32_t>) return H5T_NATIVE_INT32;
    if constexpr (std::same_as<T, std::int64_t>) return H5T_NATIVE_INT64;
    if constexpr (std::same_as<T, std::uint8_t>) return H5T_NATIVE_UINT8;
    if constexpr (std::same_as<T, std::uint32_t>) return H5T_NATIVE_UINT32;
    if constexpr (std::same_as<T, std::uint64_t>) return H5T_NATIVE_UINT64;
}

/// Throws unless the call succeeded, which every HDF5 call says by a number that is not negative.
template <class Status>
Status checked(Status status, const char* what, const std::string& name,
               const std::filesystem::path& path) {
    if (status < 0) {
        throw Hdf5Error("HDF5 cannot " + std::string(what) +
                        (name.empty() ? std::string() : " '" + name + "'") + " in " +
                        path.string());
    }
    return status;
}

std::vector<hsize_t> extents(std::span<const std::size_t> shape) {
    return {shape.begin(), shape.end()};
}

}  // namespace

/// A damaged file fails here once more, after what used it has told why.
void Hdf5Handle::close() noexcept {
    const Silence silence;
    close_(id_);
}

Hdf5File Hdf5File::create(const std::filesystem::path& path) {
    const Silence silence;
    Hdf5Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
    if (file.get() < 0) throw Hdf5Error("HDF5 cannot create " + path.string());
    return {path, std::move(file)};
}

Hdf5File Hdf5File::open(const std::filesystem::path& path) {
    const Silence silence;
    Hdf5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
    if (file.get() < 0) {
        throw Hdf5Error(path.string() + " cannot be opened, or is no HDF5 file, or is damaged");
    }
    return {path, std::move(file)};
}

template <Hdf5Element T>
void Hdf5File::write(const std::string& name, std::span<const std::size_t> shape,
                     std::span<const T> elements) {
    std::size_t size = 1;
    for (const std::size_t extent : shape) size *= extent;
    if (size != elements.size()) {
        throw Hdf5Error("the dataset '" + name + "' has a shape of " + std::to_string(size) +
                        " elements, but " + std::to_string(elements.size()) + " were given");
    }
    const Silence silence;
    const std::vector<hsize_t> dimensions = extents(shape);
    const Hdf5Handle space(
        checked(H5Screate_simple(static_cast<int>(dimensions.size()), dimensions.data(), nullptr),
                "describe", name, path_),
        H5Sclose);
    const Hdf5Handle links(checked(H5Pcreate(H5P_LINK_CREATE), "describe", name, path_), H5Pclose);
    checked(H5Pset_create_intermediate_group(links.get(), 1), "describe", name, path_);
    const Hdf5Handle data(checked(H5Dcreate2(file_.get(), name.c_str(), type_of<T>(), space.get(),
                                             links.get(), H5P_DEFAULT, H5P_DEFAULT),
                                  "create", name, path_),
                          H5Dclose);
    checked(H5Dwrite(data.get(), type_of<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, elements.data()),
            "write", name, path_);
}

template <Hdf5Element T>
std::vector<T> Hdf5File::read(const std::string& name, std::size_t elements_max) const {
    const Silence silence;
    const Hdf5Handle data = dataset(name);
    const Hdf5Handle stored(checked(H5Dget_type(data.get()), "read the type of", name, path_),
                            H5Tclose);
    if (H5Tequal(stored.get(), type_of<T>()) <= 0) {
        throw Hdf5Error("the dataset '" + name + "' in " + path_.string() +
                        " has elements of another type");
    }
    const Hdf5Handle space(checked(H5Dget_space(data.get()), "read the shape of", name, path_),
                           H5Sclose);
    const auto count = static_cast<std::size_t>(
        checked(H5Sget_simple_extent_npoints(space.get()), "read the shape of", name, path_));
    if (count > elements_max) {
        throw Hdf5Error("the dataset '" + name + "' in " + path_.string() + " is too large");
    }
    std::vector<T> elements(count);
    checked(H5Dread(data.get(), type_of<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, elements.data()),
            "read", name, path_);
    return elements;
}

bool Hdf5File::has(const std::string& name) const {
    if (name == "/") return true;
    // A name is looked up part by part: asking for a/b where there is no a is an error of HDF5.
    for (std::size_t end = name.find('/', 1); end != std::string::npos;
         end = name.find('/', end + 1)) {
        if (H5Lexists(file_.get(), name.substr(0, end).c_str(), H5P_DEFAULT) <= 0) return false;
    }
    return H5Lexists(file_.get(), name.c_str(), H5P_DEFAULT) > 0;
}

std::optional<std::vector<std::size_t>> Hdf5File::shape(const std::string& name) const {
    const Silence silence;
    if (!has(name)) return std::nullopt;
    const Hdf5Handle data = dataset(name);
    const Hdf5Handle space(checked(H5Dget_space(data.get()), "read the shape of", name, path_),
                           H5Sclose);
    const int dimensions =
        checked(H5Sget_simple_extent_ndims(space.get()), "read the shape of", name, path_);
    std::vector<hsize_t> extent(static_cast<std::size_t>(dimensions));
    checked(H5Sget_simple_extent_dims(space.get(), extent.data(), nullptr), "read the shape of",
            name, path_);
    return std::vector<std::size_t>(extent.begin(), extent.end());
}

std::vector<std::string> Hdf5File::names(const std::string& group) const {
    const Silence silence;
    std::vector<std::string> found;
    if (!has(group)) return found;
    const Hdf5Handle opened(
        checked(H5Gopen2(file_.get(), group.c_str(), H5P_DEFAULT), "open", group, path_), H5Gclose);
    const auto add = [](hid_t, const char* name, const H5L_info_t*, void* names) -> herr_t {
        static_cast<std::vector<std::string>*>(names)->emplace_back(name);
        return 0;
    };
    checked(H5Literate(opened.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, add, &found), "list",
            group, path_);
    std::sort(found.begin(), found.end());
    return found;
}

Hdf5Handle Hdf5File::dataset(const std::string& name) const {
    return {
        checked(H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), "open the dataset", name, path_),
        H5Dclose};
}

Hdf5Handle Hdf5File::open_attribute(const std::string& name) const {
    return {
        checked(H5Aopen(file_.get(), name.c_str(), H5P_DEFAULT), "open the attribute", name, path_),
        H5Aclose};
}

template <Hdf5Element T>
void Hdf5File::set_attribute(const std::string& name, T value) {
    const Silence silence;
    const Hdf5Handle space(checked(H5Screate(H5S_SCALAR), "describe", name, path_), H5Sclose);
    const Hdf5Handle attribute(checked(H5Acreate2(file_.get(), name.c_str(), type_of<T>(),
                                                  space.get(), H5P_DEFAULT, H5P_DEFAULT),
                                       "create the attribute", name, path_),
                               H5Aclose);
    checked(H5Awrite(attribute.get(), type_of<T>(), &value), "write the attribute", name, path_);
}

void Hdf5File::set_attribute(const std::string& name, const std::string& text) {
    const Silence silence;
    const Hdf5Handle type(checked(H5Tcopy(H5T_C_S1), "describe", name, path_), H5Tclose);
    checked(H5Tset_size(type.get(), text.size() + 1), "describe", name, path_);
    checked(H5Tset_cset(type.get(), H5T_CSET_UTF8), "describe", name, path_);
    const Hdf5Handle space(checked(H5Screate(H5S_SCALAR), "describe", name, path_), H5Sclose);
    const Hdf5Handle attribute(checked(H5Acreate2(file_.get(), name.c_str(), type.get(),
                                                  space.get(), H5P_DEFAULT, H5P_DEFAULT),
                                       "create the attribute", name, path_),
                               H5Aclose);
    checked(H5Awrite(attribute.get(), type.get(), text.c_str()), "write the attribute", name,
            path_);
}

template <Hdf5Element T>
T Hdf5File::attribute(const std::string& name) const {
    const Silence silence;
    const Hdf5Handle attribute = open_attribute(name);
    const Hdf5Handle type(checked(H5Aget_type(attribute.get()), "read the attribute", name, path_),
                          H5Tclose);
    const Hdf5Handle space(
        checked(H5Aget_space(attribute.get()), "read the attribute", name, path_), H5Sclose);
    if (H5Tequal(type.get(), type_of<T>()) <= 0 || H5Sget_simple_extent_npoints(space.get()) != 1) {
        throw Hdf5Error("the attribute '" + name + "' in " + path_.string() +
                        " is of another type");
    }
    T value{};
    checked(H5Aread(attribute.get(), type_of<T>(), &value), "read the attribute", name, path_);
    return value;
}

std::string Hdf5File::text_attribute(const std::string& name) const {
    const Silence silence;
    constexpr std::size_t text_bytes_max = 64 * 1024;  // HDF5's own limit for an attribute
    const Hdf5Handle attribute = open_attribute(name);
    const Hdf5Handle type(checked(H5Aget_type(attribute.get()), "read the attribute", name, path_),
                          H5Tclose);
    const Hdf5Handle space(
        checked(H5Aget_space(attribute.get()), "read the attribute", name, path_), H5Sclose);
    const std::size_t bytes = H5Tget_size(type.get());
    if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0 ||
        H5Sget_simple_extent_npoints(space.get()) != 1 || bytes > text_bytes_max) {
        throw Hdf5Error("the attribute '" + name + "' in " + path_.string() +
                        " is no text of fixed length");
    }
    std::string text(bytes, '\0');
    checked(H5Aread(attribute.get(), type.get(), text.data()), "read the attribute", name, path_);
    text.resize(std::min(text.find('\0'), text.size()));
    return text;
}

void Hdf5File::sync() {
    const Silence silence;
    checked(H5Fflush(file_.get(), H5F_SCOPE_GLOBAL), "flush", "", path_);
    void* descriptor = nullptr;
    checked(H5Fget_vfd_handle(file_.get(), H5P_DEFAULT, &descriptor), "flush", "", path_);
    checked(::fsync(*static_cast<int*>(descriptor)), "flush", "", path_);
}

#define MOBULA_HDF5_ELEMENT(T)                                                         \
    template void Hdf5File::write<T>(const std::string&, std::span<const std::size_t>, \
                                     std::span<const T>);                              \
    template std::vector<T> Hdf5File::read<T>(const std::string&, std::size_t) const;  \
    template void Hdf5File::set_attribute<T>(const std::string&, T);                   \
    template T Hdf5File::attribute<T>(const std::string&) const;
MOBULA_HDF5_ELEMENT(float)
MOBULA_HDF5_ELEMENT(double)
MOBULA_HDF5_ELEMENT(std::int32_t)
MOBULA_HDF5_ELEMENT(std::int64_t)
MOBULA_HDF5_ELEMENT(std::uint8_t)
MOBULA_HDF5_ELEMENT(std::uint32_t)
MOBULA_HDF5_ELEMENT(std::uint64_t)
#undef MOBULA_HDF5_ELEMENT

}  // namespace mobula::native
