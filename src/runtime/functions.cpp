// SPDX-License-Identifier: Apache-2.0
#include "runtime/functions.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mobula/detail/function.hpp>

#include "base/check.hpp"
#include "graph/travelling.hpp"

namespace mobula {
namespace {

/// Changes with every change of what ranks tell each other.
constexpr std::uint64_t protocol_version = 2;

std::vector<runtime::FunctionTable::Entry>& registered() {
    static auto* const entries = new std::vector<runtime::FunctionTable::Entry>();
    return *entries;
}

std::uint64_t mix(std::uint64_t hash, const void* data, std::size_t bytes) noexcept {
    const auto* const byte = static_cast<const unsigned char*>(data);
    for (std::size_t i = 0; i < bytes; ++i) hash = (hash ^ byte[i]) * 0x100000001B3ULL;
    return hash;
}

// A demangled name has no grammar worth the word; what is not understood below stays as it is.

/// The place of the bracket that closes the one at `open`; the text's end if none does.
std::size_t closing(std::string_view text, std::size_t open) noexcept {
    std::size_t depth = 0;
    for (std::size_t i = open; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '<' || c == '(' || c == '{' || c == '[') ++depth;
        const bool arrow = c == '>' && i > 0 && text[i - 1] == '-';
        if ((c == '>' && !arrow) || c == ')' || c == '}' || c == ']') --depth;
        if (depth == 0) return i;
    }
    return text.size();
}

/// One of the parts of a qualified name.
struct Part {
    std::string name;
    bool lambda = false;
};

constexpr std::string_view unnamed_namespace = "(anonymous namespace)";
constexpr std::string_view letters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_~$.";
constexpr std::string_view operators = "<>=!+-*/%^&|~,[]";

/// Takes the name of one part off the text, without parameters.
Part take_part(std::string_view& text) {
    const auto take = [&](std::size_t size) {
        const std::string_view taken = text.substr(0, size);
        text.remove_prefix(taken.size());
        return std::string(taken);
    };
    if (text.starts_with("{lambda") || text.starts_with("$_")) {
        // gcc counts the lambdas of a function, clang 14 those of a file, which tells nobody more.
        const bool counted = text.front() == '{';
        const std::string whole =
            take(counted ? closing(text, 0) + 1 : text.find_first_not_of(letters));
        const std::size_t sign = whole.rfind('#');
        const std::string number =
            sign == std::string::npos ? "1" : whole.substr(sign + 1, whole.size() - sign - 2);
        return {number == "1" ? "lambda" : "lambda " + number, true};
    }
    if (text.starts_with('{')) return {take(closing(text, 0) + 1)};
    std::string name = take(text.find_first_not_of(letters));
    if (name == "operator") {
        const std::size_t size = text.starts_with("()") ? 2 : text.find_first_not_of(operators);
        return {name + take(size)};
    }
    if (text.starts_with('<')) {
        // The arguments of a standard container would bury the name.
        constexpr std::size_t readable_max = 24;
        const std::string arguments = take(closing(text, 0) + 1);
        name += arguments.size() <= readable_max ? arguments : "<...>";
    }
    return {name};
}

/// The parts of "result outer::inner(parameters) const::name(parameters)", namespaces and classes
/// alike, without results and parameters.
std::vector<Part> parts_of(std::string_view text) {
    std::vector<Part> parts;
    while (!text.empty()) {
        if (text.starts_with(unnamed_namespace)) {
            text.remove_prefix(unnamed_namespace.size());
        } else {
            Part part = take_part(text);
            const bool call_of_lambda =
                !parts.empty() && parts.back().lambda && part.name == "operator()";
            if (!part.name.empty() && !call_of_lambda) parts.push_back(std::move(part));
            if (text.starts_with('[')) text.remove_prefix(closing(text, 0) + 1);  // [abi:cxx11]
            if (text.starts_with('(')) {
                text.remove_prefix(std::min(text.size(), closing(text, 0) + 1));
                text.remove_prefix(std::min(text.size(), text.find("::")));  // const, noexcept
            }
        }
        if (text.starts_with("::")) {
            text.remove_prefix(2);
        } else if (const std::size_t blank = text.find(' ');
                   blank != std::string_view::npos && text.front() != ',') {
            text.remove_prefix(blank + 1);  // that was the type of a template's result
            parts.clear();
        } else {
            break;
        }
    }
    return parts;
}

/// The last two of the first `count` parts: a function and where it is from.
std::string joined(const std::vector<Part>& parts, std::size_t count) {
    const Part& last = parts[count - 1];
    if (count == 1) return last.name;
    if (last.lambda) return last.name + " in " + joined(parts, count - 1);
    const Part& outer = parts[count - 2];
    return outer.lambda ? last.name : outer.name + "::" + last.name;
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
    if (status != 0) return mangled;
    // As mobula::detail::FreeCall<&(simulate(int))>.
    std::string_view name = text.get();
    const std::size_t open = name.find('<');
    if (open == std::string_view::npos || name.back() != '>') return std::string(name);
    const bool constructor = name.substr(0, open).ends_with("ConstructorCall");
    name = name.substr(open + 1, name.size() - open - 2);
    if (name.starts_with('&')) name.remove_prefix(1);
    if (name.starts_with('(') && closing(name, 0) == name.size() - 1) {
        name = name.substr(1, name.size() - 2);
    }
    const std::vector<Part> parts = parts_of(name);
    if (parts.empty()) return std::string(name);
    if (constructor) return parts.back().name + "::" + parts.back().name;
    return joined(parts, parts.size());
}

}  // namespace detail

namespace runtime {

FunctionTable FunctionTable::of_process() {
    FunctionTable table(registered());
    for (const char* exception : graph::travelling_types()) {
        table.digest_ = mix(table.digest_, exception, std::strlen(exception) + 1);
    }
    return table;
}

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
        names_.push_back(entry.info->name == nullptr ? std::string() : entry.info->name());
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

std::string_view FunctionTable::name_of(const detail::FunctionInfo& info) const noexcept {
    const auto found = places_.find(&info);
    return found == places_.end() ? std::string_view() : std::string_view(names_[found->second]);
}

}  // namespace runtime
}  // namespace mobula
