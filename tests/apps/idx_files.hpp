// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <stdexcept>
#include <string>

/// An IDX file's bytes before they are packed.
inline std::string idx_bytes(std::initializer_list<std::uint32_t> shape, const std::string& bytes) {
    std::string all{'\0', '\0', '\x08', static_cast<char>(shape.size())};
    for (const std::uint32_t extent : shape) {
        for (const int shift : {24, 16, 8, 0}) all += static_cast<char>(extent >> shift & 0xff);
    }
    return all + bytes;
}

inline void write_gzip(const std::filesystem::path& path, const std::string& bytes) {
    gzFile file = gzopen(path.c_str(), "wb");
    const bool written = gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())) ==
                         static_cast<int>(bytes.size());
    if (gzclose(file) != Z_OK || !written) throw std::runtime_error("cannot write a gzip file");
}
