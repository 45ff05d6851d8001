// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <mobula/detail/engine.hpp>

namespace mobula::runtime {

/// All functions that tasks of this program may call, in an order that is the same on all ranks of
/// one build. Never changes after main() has begun, so it is thread-safe.
class FunctionTable {
public:
    struct Entry {
        const detail::FunctionInfo* info;
        const char* identity;
    };

    /// What was registered before main().
    [[nodiscard]] static FunctionTable of_process();
    explicit FunctionTable(std::vector<Entry> entries);

    /// The function's place, which stands for it in messages between ranks.
    [[nodiscard]] std::uint32_t index_of(const detail::FunctionInfo& info) const;
    /// The function at a place, null where there is none.
    [[nodiscard]] const detail::FunctionInfo* at(std::uint32_t place) const noexcept;
    /// The function's name for people; empty for one that is not there. Async-signal-safe.
    [[nodiscard]] std::string_view name_of(const detail::FunctionInfo& info) const noexcept;
    /// Tells builds apart: of identities, sizes of arguments and the engine's version.
    [[nodiscard]] std::uint64_t digest() const noexcept { return digest_; }

private:
    std::vector<Entry> entries_;
    std::unordered_map<const detail::FunctionInfo*, std::uint32_t> places_;
    std::vector<std::string> names_;  // made at the start: a signal handler cannot
    std::uint64_t digest_ = 0;
};

}  // namespace mobula::runtime
