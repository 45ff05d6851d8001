// SPDX-License-Identifier: Apache-2.0
#include "apps/weight_averaging/idx.hpp"

#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include <mobula/error.hpp>

namespace weight_averaging {
namespace {

/// Far above every data set of this format; a damaged head must not ask for all memory.
constexpr std::size_t bytes_max = std::size_t{1} << 30;

struct CloseGzip {
    void operator()(gzFile file) const noexcept { gzclose_r(file); }
};
using Gzip = std::unique_ptr<gzFile_s, CloseGzip>;

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& why) {
    throw mobula::BadInput("the data file " + path.string() + " " + why);
}

/// Reads until `size` bytes are there or the file ends; what is missing shows in the result.
std::size_t read_some(gzFile file, std::uint8_t* place, std::size_t size,
                      const std::filesystem::path& path) {
    std::size_t done = 0;
    while (done < size) {
        const std::size_t part = std::min(size - done, std::size_t{1} << 24);
        const int got = gzread(file, place + done, static_cast<unsigned>(part));
        int error = Z_OK;
        gzerror(file, &error);
        if (error == Z_BUF_ERROR) refuse(path, "is truncated");
        if (got < 0) refuse(path, "is damaged: it cannot be unpacked");
        if (got == 0) break;
        done += static_cast<std::size_t>(got);
    }
    return done;
}

std::size_t big_endian(const std::uint8_t* bytes) {
    return std::size_t{bytes[0]} << 24 | std::size_t{bytes[1]} << 16 | std::size_t{bytes[2]} << 8 |
           bytes[3];
}

}  // namespace

Idx read_idx(const std::filesystem::path& path, std::size_t dimensions) {
    errno = 0;
    const Gzip file(gzopen(path.c_str(), "rb"));
    if (!file) refuse(path, std::string("cannot be opened: ") + std::strerror(errno));

    // The head: two zeros, the element type, the number of dimensions, then each as 32 bits.
    std::vector<std::uint8_t> head(4 + 4 * dimensions);
    const std::size_t got = read_some(file.get(), head.data(), head.size(), path);
    if (got >= 4 && (head[0] != 0 || head[1] != 0 || head[2] != 8)) {
        refuse(path, "is no IDX file of unsigned bytes");
    }
    if (got >= 4 && head[3] != dimensions) {
        refuse(path, "has " + std::to_string(head[3]) + " dimensions where " +
                         std::to_string(dimensions) + " are expected");
    }
    if (got < head.size()) refuse(path, "is truncated");

    Idx idx;
    std::size_t size = 1;
    for (std::size_t i = 0; i < dimensions; ++i) {
        idx.shape.push_back(big_endian(&head[4 + 4 * i]));
        if (idx.shape.back() != 0 && size > bytes_max / idx.shape.back()) {
            refuse(path, "is damaged: its head announces too many elements");
        }
        size *= idx.shape.back();
    }
    idx.bytes.resize(size);
    if (read_some(file.get(), idx.bytes.data(), size, path) < size) refuse(path, "is truncated");
    std::uint8_t more = 0;
    if (read_some(file.get(), &more, 1, path) != 0) {
        refuse(path, "is longer than its head announces");
    }
    return idx;
}

}  // namespace weight_averaging
