// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include <mobula/detail/stream.hpp>

#include "base/spinlock.hpp"

namespace mobula::runtime {

/// Notices that one function gets the same large arguments by value again and again, where the
/// object store would have sent them once. Two encoded arguments are held for the same when they
/// have the same number of bytes and the same hash, which leaves out their ends, where a small
/// argument that differs usually lies. Thread-safe.
class RepeatedValues {
public:
    static constexpr unsigned repeats_before_warning = 5;

    /// Arguments of fewer bytes are not looked at; with 0 none are.
    explicit RepeatedValues(std::size_t large_bytes) noexcept : large_bytes_(large_bytes) {}

    /// How many bytes of the arguments travel with the task: the stream, and the blocks where the
    /// receiver cannot map them.
    [[nodiscard]] static std::size_t bytes_sent(detail::Writer& arguments,
                                                bool blocks_travel) noexcept;
    [[nodiscard]] bool large(std::size_t bytes) const noexcept {
        return large_bytes_ != 0 && bytes >= large_bytes_;
    }
    /// Large arguments go out for the function of this number. True once for a function: when it
    /// gets the same ones for the fifth time.
    [[nodiscard]] bool note(std::uint32_t function, std::size_t bytes, detail::Writer& arguments);

    /// The sentence, with what to do.
    [[nodiscard]] static std::string warning(const std::string& function, std::size_t bytes);

private:
    static constexpr std::size_t remembered_max = 256;
    /// Arguments of one function that are looked at as a whole, because a sample of them is known.
    static constexpr unsigned looks_max = 20;

    [[nodiscard]] bool looks_known(std::uint32_t function, std::uint64_t hash);

    const std::size_t large_bytes_;
    Spinlock lock_;
    std::unordered_map<std::uint64_t, unsigned> looks_;   ///< by function, size and sample
    std::unordered_map<std::uint64_t, unsigned> counts_;  ///< by these and the hash of all
    std::unordered_set<std::uint32_t> settled_;           ///< told of, or not to be told of
};

}  // namespace mobula::runtime
