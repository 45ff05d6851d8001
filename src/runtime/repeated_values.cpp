// SPDX-License-Identifier: Apache-2.0
#include "runtime/repeated_values.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>

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
    // Copies of an Array share its block, so its place tells them apart.
    for (const detail::Buffer& block : arguments.attachments()) {
        hash = mix_word(hash, reinterpret_cast<std::uintptr_t>(block.data()));
    }
    std::lock_guard guard(lock_);
    if (warned_.contains(function) || warned_.size() >= remembered_max) return false;
    if (counts_.size() >= remembered_max) counts_.clear();
    if (++counts_[hash] < repeats_before_warning) return false;
    warned_.insert(function);
    return true;
}

std::string RepeatedValues::warning(const std::string& function, std::size_t bytes) {
    return fmt::format(
        "{} got the same {:.1f} MB by value {} times, encoded and sent with each task; put() the "
        "value once and pass the Ref, which brings it to a rank at most once",
        function, static_cast<double>(bytes) / 1e6, repeats_before_warning);
}

}  // namespace mobula::runtime
