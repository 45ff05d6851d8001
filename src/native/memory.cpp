// SPDX-License-Identifier: Apache-2.0
#include "native/memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <system_error>

namespace mobula::native {

Mapping::Mapping(const Fd& file, std::size_t bytes, bool writable) : bytes_(bytes) {
    void* base = ::mmap(nullptr, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ,
                        MAP_SHARED | MAP_NORESERVE, file.get(), 0);
    if (base == MAP_FAILED) {
        throw std::system_error(errno, std::generic_category(),
                                "mapping " + std::to_string(bytes) + " bytes");
    }
    base_ = static_cast<std::byte*>(base);
}

Mapping::~Mapping() {
    if (base_ != nullptr) ::munmap(base_, bytes_);
}

Fd make_memory_file(const char* label, std::size_t bytes) {
    Fd file(::memfd_create(label, MFD_CLOEXEC));
    if (!file) throw std::system_error(errno, std::generic_category(), "memfd_create");
    if (::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) {
        throw std::system_error(errno, std::generic_category(), "ftruncate");
    }
    return file;
}

Fd open_descriptor_of(int pid, int fd) noexcept {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
    return Fd(::open(path, O_RDONLY | O_CLOEXEC));
}

std::size_t file_bytes(const Fd& file) noexcept {
    struct stat status {};
    return ::fstat(file.get(), &status) == 0 ? static_cast<std::size_t>(status.st_size) : 0;
}

std::string boot_id() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string line;
    std::getline(file, line);
    return line;
}

std::string pid_space() {
    char name[64] = {};
    const auto length = ::readlink("/proc/self/ns/pid", name, sizeof name - 1);
    return length > 0 ? std::string(name, static_cast<std::size_t>(length)) : std::string();
}

}  // namespace mobula::native
