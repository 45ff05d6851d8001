// SPDX-License-Identifier: Apache-2.0
#include "runtime/functions.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include <mobula/detail/function.hpp>

#include "base/check.hpp"

namespace mobula {
namespace {

/// Changes with every change of what ranks tell each other.
constexpr std::uint64_t protocol_version = 1;

std::vector<runtime::FunctionTable::Entry>& registered() {
    static auto* const entries = new std::vector<runtime::FunctionTable::Entry>();
    return *entries;
}

std::uint64_t mix(std::uint64_t hash, const void* data, std::size_t bytes) noexcept {
    const auto* const byte = static_cast<const unsigned char*>(data);
    for (std::size_t i = 0; i < bytes; ++i) hash = (hash ^ byte[i]) * 0x100000001B3ULL;
    return hash;
}

}  // namespace

namespace detail {

void register_function(const FunctionInfo& info, const char* identity) {
    registered().push_back({&info, identity});
}

std::string readable_name(const char* mangled) {
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> text(
        abi::__cxa_demangle(mangled, nullptr, nullptr, &status), &std::free);
    std::string name = status == 0 ? text.get() : mangled;
    // mobula::detail::FreeCall<&(simulate(int))> -> simulate
    const std::size_t open = name.find('<');
    if (open == std::string::npos || name.back() != '>') return name;
    name = name.substr(open + 1, name.size() - open - 2);
    for (const std::string_view noise : {"&(", "&", "("}) {
        if (name.compare(0, noise.size(), noise) == 0) {
            name.erase(0, noise.size());
            break;
        }
    }
    const std::size_t arguments = name.find('(');
    if (arguments != std::string::npos && arguments > 0) name.erase(arguments);
    return name;
}

}  // namespace detail

namespace runtime {

FunctionTable FunctionTable::of_process() { return FunctionTable(registered()); }

FunctionTable::FunctionTable(std::vector<Entry> entries) : entries_(std::move(entries)) {
    // Stable: lambdas of internal linkage may share an identity; one executable registers them in
    // one order.
    std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
        return std::strcmp(a.identity, b.identity) < 0;
    });
    digest_ = mix(0xCBF29CE484222325ULL, &protocol_version, sizeof protocol_version);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        const Entry& entry = entries_[i];
        places_.emplace(entry.info, static_cast<std::uint32_t>(i));
        const std::uint64_t bytes = entry.info->arguments_bytes;
        digest_ = mix(digest_, entry.identity, std::strlen(entry.identity) + 1);
        digest_ = mix(digest_, &bytes, sizeof bytes);
    }
}

std::uint32_t FunctionTable::index_of(const detail::FunctionInfo& info) const {
    const auto found = places_.find(&info);
    check(found != places_.end(), "a function was not registered before main()");
    return found->second;
}

const detail::FunctionInfo* FunctionTable::at(std::uint32_t place) const noexcept {
    return place < entries_.size() ? entries_[place].info : nullptr;
}

}  // namespace runtime
}  // namespace mobula
