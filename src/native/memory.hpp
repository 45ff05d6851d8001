// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "native/fd.hpp"

namespace mobula::native {

/// A mapping of a file into memory. *Reentrant*. Stays readable after the file and whoever made it
/// are gone.
class Mapping {
public:
    Mapping() = default;

    /// Throws std::system_error. Pages are not reserved: they come when they are touched.
    Mapping(const Fd& file, std::size_t bytes, bool writable);
    Mapping(Mapping&& from) noexcept
        : base_(std::exchange(from.base_, nullptr)), bytes_(std::exchange(from.bytes_, 0)) {}
    Mapping& operator=(Mapping&& from) noexcept {
        std::swap(base_, from.base_);
        std::swap(bytes_, from.bytes_);
        return *this;
    }
    ~Mapping();

    [[nodiscard]] std::byte* base() const noexcept { return base_; }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

private:
    std::byte* base_ = nullptr;
    std::size_t bytes_ = 0;
};

/// A file that lives in memory only and has no name anywhere: nothing of it is left behind however
/// the process ends. Sparse: memory is used where it is touched. Throws std::system_error.
[[nodiscard]] Fd make_memory_file(const char* label, std::size_t bytes);

/// Opens another process's descriptor for reading by /proc/<pid>/fd/<fd>; empty when that is not
/// allowed here or the process is gone.
[[nodiscard]] Fd open_descriptor_of(int pid, int fd) noexcept;

/// How long the file is; 0 when that cannot be told.
[[nodiscard]] std::size_t file_bytes(const Fd& file) noexcept;

/// Changes with every boot of the machine; empty when it cannot be told.
[[nodiscard]] std::string boot_id();

/// The name of the process's own space of process ids (containers have several).
[[nodiscard]] std::string pid_space();

}  // namespace mobula::native
