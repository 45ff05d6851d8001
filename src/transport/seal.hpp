// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

// What every active message starts with: the secret of the job, which its ranks told each other
// over MPI, and the rank that claims to speak. Nothing else of a message is looked at, and nobody
// is blamed for it, before the secret was found to be right: the network lets anybody send.

namespace mobula::transport {

/// 128 random bits that only the ranks of one job know.
using Token = std::array<std::uint64_t, 2>;

struct Seal {
    Token token{};
    std::uint32_t sender = 0;       ///< rank
    std::uint32_t incarnation = 0;  ///< of the sender
};
static_assert(sizeof(Seal) == 24);

/// Whether the message carries the token. Takes the same time for every wrong one, so that a guess
/// tells nothing of how near it was.
inline bool carries(std::span<const std::byte> message, const Token& token) noexcept {
    if (message.size() < sizeof(Seal)) return false;
    Token claimed;
    std::memcpy(claimed.data(), message.data(), sizeof claimed);
    return ((claimed[0] ^ token[0]) | (claimed[1] ^ token[1])) == 0;
}

/// Reads the seal of a message that carries the token.
inline Seal seal_of(std::span<const std::byte> message) noexcept {
    Seal seal;
    std::memcpy(&seal, message.data(), sizeof seal);
    return seal;
}

}  // namespace mobula::transport
