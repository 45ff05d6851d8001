// SPDX-License-Identifier: Apache-2.0
#include "base/type_name.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <string_view>

namespace mobula {
namespace {

void replace_all(std::string& text, std::string_view what, std::string_view by) {
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at)) {
        text.replace(at, what.size(), by);
        at += by.size();
    }
}

}  // namespace

std::string readable_type(const char* mangled) {
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> demangled(
        abi::__cxa_demangle(mangled, nullptr, nullptr, &status), &std::free);
    if (status != 0) return mangled;
    std::string name = demangled.get();
    // What std::throw_with_nested throws: a type of the library's, derived from the user's.
    constexpr std::string_view nested = "std::_Nested_exception<";
    if (name.starts_with(nested) && name.ends_with('>')) {
        name = name.substr(nested.size(), name.size() - nested.size() - 1);
        if (name.ends_with(' ')) name.pop_back();
    }
    replace_all(name, "std::__cxx11::", "std::");
    replace_all(name, "std::basic_string<char, std::char_traits<char>, std::allocator<char> >",
                "std::string");
    replace_all(name, "std::basic_string_view<char, std::char_traits<char> >", "std::string_view");
    replace_all(name, "char const*", "const char*");
    replace_all(name, "(anonymous namespace)::", "");
    return name;
}

}  // namespace mobula
