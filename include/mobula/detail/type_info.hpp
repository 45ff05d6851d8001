// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <typeinfo>

namespace mobula::detail {

class Reader;
class Writer;

/// What the engine knows of a value's type once it is erased.
struct TypeInfo {
    std::size_t size, alignment;
    std::size_t (*weight)(const void*) noexcept;
    void (*destroy)(void*) noexcept;
    void (*encode)(const void*, Writer&);
    void (*decode)(Reader&, void*);
    bool plain;
    bool quiet;  ///< see is_quiet
    const std::type_info* id;
    bool users_weight = false;  ///< weight() runs code of the user's
};

/// The value of a function that returns nothing.
struct Nothing {};

}  // namespace mobula::detail
