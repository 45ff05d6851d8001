// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace mobula {

/// The name of a type for people, of what std::type_info::name() gives: "app::Diverged" or
/// "std::string". Gives the mangled name back where it is none. Thread-safe.
[[nodiscard]] std::string readable_type(const char* mangled);

}  // namespace mobula
