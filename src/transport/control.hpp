// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "transport/seal.hpp"

// What transports say to each other besides records: one fixed header and some bytes behind it.
// Pure, as batch.hpp is.

namespace mobula::transport {

enum class ControlKind : std::uint16_t {
    beat = 1,  ///< I live
    death,     ///< `subject` is dead; behind it the reason. To the subject itself: you are fenced
    left,      ///< `subject` said goodbye
    pull,      ///< send `bytes` at `offset` of your arena as `id`, in chunks of up to `chunk_bytes`
    refused,   ///< the pull `id` cannot be served; behind it the reason
    want_key,  ///< send the key of extent `id` of your arena
    key,       ///< of extent `id`, which is at `offset` in my memory; behind it the key, or nothing
    closed,    ///< all have said goodbye: nobody will speak any more
    arrived,   ///< the chunk at `offset` of the pull `id` is here
    quiet,     ///< all have said goodbye: end your signs of life; as the answer: they have ended
};

struct Control {
    Seal seal;
    ControlKind kind{};
    std::uint16_t format = control_format;
    std::uint32_t subject = 0;
    std::uint64_t id = 0;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    std::uint32_t chunk_bytes = 0;
    std::uint32_t chunks_in_flight = 0;

    static constexpr std::uint16_t control_format = 0xC001;
};

/// Stands before each chunk of a pushed transfer.
struct ChunkHeader {
    Seal seal;
    std::uint64_t id = 0;      ///< of the pull
    std::uint64_t offset = 0;  ///< within the transfer
};

static_assert(sizeof(Control) == 64 && sizeof(ChunkHeader) == 40);

inline constexpr std::size_t control_tail_max = 4096;

/// What is wrong with a message that claims to be a control message; empty when it is sound.
inline std::string_view control_fault(std::span<const std::byte> message) noexcept {
    if (message.size() < sizeof(Control)) return "a control message shorter than its header";
    if (message.size() > sizeof(Control) + control_tail_max) return "an overlong control message";
    Control control;
    std::memcpy(&control, message.data(), sizeof control);
    if (control.format != Control::control_format) return "a control message of another format";
    if (control.kind < ControlKind::beat || control.kind > ControlKind::quiet) {
        return "a control message of an unknown kind";
    }
    return {};
}

/// The message must have passed control_fault().
inline Control control_header(std::span<const std::byte> message) noexcept {
    Control control;
    std::memcpy(&control, message.data(), sizeof control);
    return control;
}

}  // namespace mobula::transport
