// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Looks for addresses among the members of plain structs.
///
/// C++20 does not list members. What can be asked is whether T{a, b, c} compiles, and so the
/// members are tried one after another with an argument that converts to nothing but what carries
/// an address. A member that is a struct is judged by the same question about its own type.

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

#include <mobula/detail/parts.hpp>

namespace mobula::detail {

/// Members beyond are not looked at, nor those of a class that is no aggregate: its author answers
/// for them.
inline constexpr std::size_t members_max = 32;

template <class T>
consteval bool bytes_carry_address();

/// Stands for any member of a T but not for a T itself.
template <class T>
struct AnyMember {
    template <class U>
        requires(!std::same_as<U, T>)
    operator U() const;  // NOLINT(google-explicit-constructor)
};
/// Stands for a member that carries an address.
template <class T>
struct AddressMember {
    template <class U>
        requires(!std::same_as<U, T>) && (bytes_carry_address<U>())
    operator U() const;  // NOLINT(google-explicit-constructor)
};
/// Stands for none: a member that takes it takes whatever there is.
struct NoMember {};

template <class T, std::size_t>
using AnyMemberAt = AnyMember<T>;

/// Whether a T can be made of members where one of them is a Probe. In braces an array is one
/// member; without, each of its elements is, and classes need no default constructor.
template <bool braces, class T, class Probe, std::size_t... before, std::size_t... after>
consteval bool takes(std::index_sequence<before...>, std::index_sequence<after...>) {
    if constexpr (braces) {
        return requires {
            T{{AnyMemberAt<T, before>()}..., Probe(), {AnyMemberAt<T, after>()}...};
        };
    } else {
        return requires { T{AnyMemberAt<T, before>()..., Probe(), AnyMemberAt<T, after>()...}; };
    }
}
template <bool braces, class T, class Probe, std::size_t at, std::size_t members>
inline constexpr bool takes_at = takes<braces, T, Probe>(
    std::make_index_sequence<at>(), std::make_index_sequence<members - at - 1>());

/// How many members a T is made of. It need not be made of fewer, where some have no default.
template <bool braces, class T, std::size_t seen = 0>
consteval std::size_t count_members() {
    if constexpr (seen == members_max) {
        return seen;
    } else if constexpr (takes_at<braces, T, AnyMember<T>, seen, seen + 1>) {
        return count_members<braces, T, seen + 1>();
    } else if constexpr (seen == 0) {
        return count_members<braces, T, 1>();
    } else if constexpr (takes_at<braces, T, AnyMember<T>, seen - 1, seen>) {
        return seen;
    } else {
        return count_members<braces, T, seen + 1>();
    }
}

template <bool braces, class T, std::size_t members, std::size_t at = 0>
consteval bool member_carries_address() {
    if constexpr (at == members) {
        return false;
    } else if constexpr (!takes_at<braces, T, AddressMember<T>, at, members>) {
        return member_carries_address<braces, T, members, at + 1>();
    } else if constexpr (takes_at<braces, T, NoMember, at, members>) {
        return member_carries_address<braces, T, members, at + 1>();
    } else {
        return true;
    }
}

/// In braces only where arrays have used up the members that are looked at.
template <class T>
consteval bool any_member_carries_address() {
    constexpr std::size_t members = count_members<false, T>();
    if constexpr (member_carries_address<false, T, members>()) {
        return true;
    } else if constexpr (members == members_max) {
        return member_carries_address<true, T, count_members<true, T>()>();
    } else {
        return false;
    }
}

template <class T>
inline constexpr bool members_carry_address = false;
template <class T>
    requires std::is_aggregate_v<T> && std::is_class_v<T> && std::is_trivially_copyable_v<T> &&
                 (!vouched<T>)
inline constexpr bool members_carry_address<T> = any_member_carries_address<T>();

template <class... P>
consteval bool any_bytes_carry_address(List<P...>) {
    return (bytes_carry_address<std::remove_cv_t<P>>() || ...);
}
/// Whether an address is among the bytes of a T.
template <class T>
consteval bool bytes_carry_address() {
    if constexpr (Address<T>) {
        return true;
    } else if constexpr (has_parts<T>) {
        return any_bytes_carry_address(Parts<T>());
    } else {
        return members_carry_address<T>;
    }
}

}  // namespace mobula::detail
