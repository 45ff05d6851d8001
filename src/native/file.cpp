// SPDX-License-Identifier: Apache-2.0
#include "native/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace mobula::native {
namespace {

std::string cannot_write(const std::string& path) {
    return "cannot write " + path + ": " + std::strerror(errno);
}

bool write_all(int fd, std::string_view text) noexcept {
    while (!text.empty()) {
        const ssize_t written = ::write(fd, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

}  // namespace

std::string why_not_replaceable(const std::string& path) {
    struct stat found {};
    if (::lstat(path.c_str(), &found) != 0 || S_ISREG(found.st_mode)) return {};
    const char* const kind = S_ISLNK(found.st_mode)   ? "a symbolic link"
                             : S_ISDIR(found.st_mode) ? "a folder"
                                                      : "a device or pipe";
    return path + " is " + kind + "; only a regular file, or a name that is free, is written to";
}

std::string replace_file(const std::string& path, std::string_view text) {
    const std::string part = path + ".part";
    for (const std::string& name : {path, part}) {
        if (std::string why = why_not_replaceable(name); !why.empty()) return why;
    }
    ::unlink(part.c_str());  // of a writer that was killed
    const int file = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0) return cannot_write(part);
    std::string why;
    if (!write_all(file, text)) why = cannot_write(part);
    // Some file systems tell only here that they are full.
    if (::close(file) != 0 && why.empty()) why = cannot_write(part);
    if (why.empty() && std::rename(part.c_str(), path.c_str()) != 0) why = cannot_write(path);
    if (!why.empty()) ::unlink(part.c_str());
    return why;
}

bool lacks_descriptors() noexcept {
    const int one = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    if (one < 0) return errno == EMFILE;
    ::close(one);
    return false;
}

}  // namespace mobula::native
