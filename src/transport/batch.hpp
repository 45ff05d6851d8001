// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "transport/seal.hpp"

// The format of one active message full of records, shared by writer and reader. Pure: the reader
// believes nothing that it has not checked, whatever the bytes are.
//
//   batch  = BatchHeader, record*            (native byte order: all ranks run one executable)
//   record = length (4 bytes), 0 (4 bytes), the bytes, padding to a multiple of 8
//   part   = BatchHeader, PartPrefix, bytes     (of a record that is larger than a batch)
//
// A large record travels in parts of our own, because UCX 1.13 loses eager messages of several
// fragments over TCP when both sides have connected to each other at once.
//
// Everything starts at a multiple of 8, so a record is 8-byte aligned where the batch is.

namespace mobula::transport {

struct BatchHeader {
    Seal seal;
    std::uint32_t sequence = 0;  ///< counts the batches from sender to receiver; wraps
    std::uint16_t records = 0;
    std::uint16_t format = batch_format;

    static constexpr std::uint16_t batch_format = 0xB001;
    static constexpr std::uint16_t part_format = 0xB002;
};

struct RecordPrefix {
    std::uint32_t bytes = 0;
    std::uint32_t zero = 0;
};

/// Stands behind the header of a part: how large the record is and where these bytes belong.
struct PartPrefix {
    std::uint32_t record_bytes = 0;
    std::uint32_t offset = 0;
};

static_assert(sizeof(BatchHeader) == 32 && sizeof(RecordPrefix) == 8 && sizeof(PartPrefix) == 8);

inline constexpr std::size_t batch_records_max = 0xFFFF;

/// What a record of so many bytes takes up in a batch.
constexpr std::size_t space_of_record(std::size_t bytes) noexcept {
    return sizeof(RecordPrefix) + ((bytes + 7) & ~std::size_t{7});
}

/// Writes one record; `into` has space_of_record() bytes.
inline void put_record(std::byte* into, std::span<const std::byte> record) noexcept {
    const RecordPrefix prefix{static_cast<std::uint32_t>(record.size()), 0};
    const std::size_t space = space_of_record(record.size());
    const std::uint64_t padding = 0;
    // The last word first: what the record does not cover of it stays zero.
    if (space > sizeof prefix) std::memcpy(into + space - sizeof padding, &padding, sizeof padding);
    std::memcpy(into, &prefix, sizeof prefix);
    std::memcpy(into + sizeof prefix, record.data(), record.size());
}

/// Reads the header; the message must have passed batch_fault().
inline BatchHeader batch_header(std::span<const std::byte> message) noexcept {
    BatchHeader header;
    std::memcpy(&header, message.data(), sizeof header);
    return header;
}

/// Reads the prefix of a part; the message must have passed batch_fault().
inline PartPrefix part_prefix(std::span<const std::byte> message) noexcept {
    PartPrefix prefix;
    std::memcpy(&prefix, message.data() + sizeof(BatchHeader), sizeof prefix);
    return prefix;
}

inline constexpr std::size_t part_overhead = sizeof(BatchHeader) + sizeof(PartPrefix);

inline std::string_view part_fault(std::span<const std::byte> message) noexcept {
    if (message.size() <= part_overhead) return "an empty part of a record";
    const PartPrefix prefix = part_prefix(message);
    const std::size_t bytes = message.size() - part_overhead;
    if (prefix.offset > prefix.record_bytes || bytes > prefix.record_bytes - prefix.offset) {
        return "a part that ends beyond its record";
    }
    return {};
}

/// What is wrong with a message that claims to be a batch or a part, as the end of a sentence that
/// starts with "it sent"; empty when it is sound.
inline std::string_view batch_fault(std::span<const std::byte> message) noexcept {
    if (message.size() < sizeof(BatchHeader)) return "a message shorter than a header";
    const BatchHeader header = batch_header(message);
    if (header.format == BatchHeader::part_format) return part_fault(message);
    if (header.format != BatchHeader::batch_format) return "a message of another format";
    std::size_t at = sizeof(BatchHeader);
    for (std::uint32_t n = 0; n < header.records; ++n) {
        if (message.size() - at < sizeof(RecordPrefix)) return "fewer records than it announced";
        RecordPrefix prefix;
        std::memcpy(&prefix, message.data() + at, sizeof prefix);
        if (prefix.bytes == 0 || prefix.zero != 0) return "a record with an impossible length";
        const std::size_t space = space_of_record(prefix.bytes);
        if (space > message.size() - at) return "a record that ends beyond its message";
        at += space;
    }
    return at == message.size() ? std::string_view{} : "bytes after its last record";
}

/// Calls `each` with every record of a batch (not a part) that has passed batch_fault().
template <class Each>
void for_each_record(std::span<const std::byte> message, Each&& each) {
    const std::uint32_t records = batch_header(message).records;
    const std::byte* at = message.data() + sizeof(BatchHeader);
    for (std::uint32_t n = 0; n < records; ++n) {
        RecordPrefix prefix;
        std::memcpy(&prefix, at, sizeof prefix);
        each(std::span<const std::byte>(at + sizeof prefix, prefix.bytes));
        at += space_of_record(prefix.bytes);
    }
}

}  // namespace mobula::transport
