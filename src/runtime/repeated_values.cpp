// SPDX-License-Identifier: Apache-2.0
#include "runtime/repeated_values.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <span>

#include <fmt/format.h>

namespace mobula::runtime {
namespace {

/// Words that are looked at, evenly spread: beside a megabyte that was just encoded they cost
/// nothing. The spread leaves out both ends, where a small argument that differs usually lies.
constexpr std::size_t samples = 512;

std::uint64_t mix_word(std::uint64_t hash, std::uint64_t word) noexcept {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
    return hash ^ (hash >> 29U);
}

std::uint64_t sampled(std::uint64_t hash, const std::byte* data, std::size_t bytes) noexcept {
    std::uint64_t word = 0;
    const std::size_t step = bytes / (samples + 1);
    if (step < sizeof word) return hash;
    for (std::size_t i = 1; i <= samples; ++i) {
        std::memcpy(&word, data + i * step, sizeof word);
        hash = mix_word(hash, word);
    }
    return hash;
}

/// All of it but both ends.
std::uint64_t middle(std::uint64_t hash, std::span<const std::byte> bytes) noexcept {
    constexpr std::size_t end = 256;
    std::uint64_t word = 0;
    for (std::size_t at = end; at + end + sizeof word <= bytes.size(); at += sizeof word) {
        std::memcpy(&word, bytes.data() + at, sizeof word);
        hash = mix_word(hash, word);
    }
    return hash;
}

}  // namespace

std::size_t RepeatedValues::bytes_sent(detail::Writer& arguments, bool blocks_travel) noexcept {
    std::size_t bytes = arguments.stream().size();
    if (!blocks_travel) return bytes;
    for (const detail::Buffer& block : arguments.attachments()) bytes += block.size();
    return bytes;
}

bool RepeatedValues::note(std::uint32_t function, std::size_t bytes, detail::Writer& arguments) {
    std::uint64_t hash = mix_word(mix_word(samples, function), bytes);
    hash = sampled(hash, arguments.stream().data(), arguments.stream().size());
    for (const detail::Buffer& block : arguments.attachments()) {
        hash = sampled(hash, block.data(), block.size());
    }
    if (!looks_known(function, hash)) return false;
    std::uint64_t whole = middle(hash, arguments.stream());
    for (const detail::Buffer& block : arguments.attachments()) {
        whole = middle(whole, {block.data(), block.size()});
    }
    std::lock_guard guard(lock_);
    // Those of the first time were only sampled.
    if (++counts_[whole] + 1 < repeats_before_warning) return false;
    return settled_.insert(function).second;
}

/// Whether arguments with such a sample came before, and are to be looked at as a whole.
bool RepeatedValues::looks_known(std::uint32_t function, std::uint64_t hash) {
    std::lock_guard guard(lock_);
    if (settled_.contains(function) || settled_.size() >= remembered_max) return false;
    if (looks_.size() >= remembered_max) {
        looks_.clear();
        counts_.clear();
    }
    const unsigned before = looks_[hash]++;
    if (before < looks_max) return before != 0;
    settled_.insert(function);  // they look the same and are not: no more of that
    return false;
}

std::string RepeatedValues::warning(const std::string& function, std::size_t bytes) {
    return fmt::format(
        "{} got the same {:.1f} MB by value {} times, encoded and sent with each task; put() the "
        "value once and pass the Ref, which brings it to a rank at most once",
        function, static_cast<double>(bytes) / 1e6, repeats_before_warning);
}

}  // namespace mobula::runtime
