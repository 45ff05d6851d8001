// SPDX-License-Identifier: Apache-2.0
#pragma once

/// What the standard's types hold, so that a value is judged by all that travels with it.

#include <array>
#include <concepts>
#include <cstddef>
#include <deque>
#include <forward_list>
#include <functional>
#include <initializer_list>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <span>
#include <stack>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <valarray>
#include <variant>
#include <vector>

namespace mobula {

/// Whether the author of a class vouches for its members: that its bytes mean the same on every
/// rank although an address is among them. To be specialised before the type is used:
/// `template <> inline constexpr bool mobula::vouched<Token> = true;`
template <class T>
inline constexpr bool vouched = false;

template <class T>
class Promise;

}  // namespace mobula

namespace mobula::detail {

template <class T>
inline constexpr bool is_view = false;
template <class C, class Traits>
inline constexpr bool is_view<std::basic_string_view<C, Traits>> = true;
template <class T, std::size_t n>
inline constexpr bool is_view<std::span<T, n>> = true;
template <class T>
inline constexpr bool is_view<std::initializer_list<T>> = true;
template <class T>
inline constexpr bool is_view<std::reference_wrapper<T>> = true;

/// Types with a place in the memory of this process as their value.
template <class T>
concept Address = std::is_pointer_v<T> || std::is_member_pointer_v<T> ||
                  std::is_null_pointer_v<T> || std::is_reference_v<T> || is_view<T>;

/// What a smart pointer points at, of which one object travels.
template <class T>
struct Pointee {};

template <class... T>
struct List {};

/// The types of what a T holds; none for all that is not listed here.
template <class T>
struct Parts : List<> {};
template <class T, std::size_t n>
struct Parts<T[n]> : List<T> {};
template <class T, std::size_t n>
struct Parts<std::array<T, n>> : List<T> {};
template <class T>
struct Parts<std::optional<T>> : List<T> {};
template <class... T>
struct Parts<std::variant<T...>> : List<T...> {};
template <class A, class B>
struct Parts<std::pair<A, B>> : List<A, B> {};
template <class... T>
struct Parts<std::tuple<T...>> : List<T...> {};
template <class T, class... Rest>
struct Parts<std::vector<T, Rest...>> : List<T> {};
template <class T, class... Rest>
struct Parts<std::deque<T, Rest...>> : List<T> {};
template <class T, class... Rest>
struct Parts<std::list<T, Rest...>> : List<T> {};
template <class T, class... Rest>
struct Parts<std::forward_list<T, Rest...>> : List<T> {};
template <class T>
struct Parts<std::valarray<T>> : List<T> {};
template <class T, class... Rest>
struct Parts<std::queue<T, Rest...>> : List<T> {};
template <class T, class... Rest>
struct Parts<std::priority_queue<T, Rest...>> : List<T> {};
template <class T, class... Rest>
struct Parts<std::stack<T, Rest...>> : List<T> {};
template <class K, class... Rest>
struct Parts<std::set<K, Rest...>> : List<K> {};
template <class K, class... Rest>
struct Parts<std::multiset<K, Rest...>> : List<K> {};
template <class K, class... Rest>
struct Parts<std::unordered_set<K, Rest...>> : List<K> {};
template <class K, class... Rest>
struct Parts<std::unordered_multiset<K, Rest...>> : List<K> {};
template <class K, class T, class... Rest>
struct Parts<std::map<K, T, Rest...>> : List<K, T> {};
template <class K, class T, class... Rest>
struct Parts<std::multimap<K, T, Rest...>> : List<K, T> {};
template <class K, class T, class... Rest>
struct Parts<std::unordered_map<K, T, Rest...>> : List<K, T> {};
template <class K, class T, class... Rest>
struct Parts<std::unordered_multimap<K, T, Rest...>> : List<K, T> {};
template <class T>
struct Parts<std::shared_ptr<T>> : List<Pointee<T>> {};
template <class T>
struct Parts<std::weak_ptr<T>> : List<Pointee<T>> {};
template <class T, class D>
struct Parts<std::unique_ptr<T, D>> : List<Pointee<T>> {};

template <class T>
inline constexpr bool has_parts = !std::is_base_of_v<List<>, Parts<T>>;

/// Whether a T is or holds a Promise, which stays where it was made.
template <class T>
consteval bool holds_promise();
template <class... P>
consteval bool any_holds_promise(List<P...>) {
    return (holds_promise<std::remove_cv_t<P>>() || ...);
}
template <class T>
inline constexpr bool is_promise = false;
template <class T>
inline constexpr bool is_promise<Promise<T>> = true;
template <class T>
inline constexpr bool is_promise<Pointee<T>> = is_promise<std::remove_cv_t<T>>;
template <class T>
consteval bool holds_promise() {
    return is_promise<T> || any_holds_promise(Parts<T>());
}
template <class T>
consteval bool check_no_promise() {
    static_assert(!holds_promise<T>(),
                  "mobula: a Promise cannot travel, as it is completed on the rank that made it: "
                  "give its ref(), which travels; an actor that keeps a Promise completes it where "
                  "another rank calls a method");
    return !holds_promise<T>();
}

template <class T>
consteval bool can_be_copied();
template <class... P>
consteval bool all_can_be_copied(List<P...>) {
    return (can_be_copied<std::remove_cv_t<P>>() && ...);
}
/// A container says of itself that it can be copied, also where what it holds cannot. A smart
/// pointer's copy does not copy what it points at.
template <class T>
consteval bool can_be_copied() {
    return std::is_copy_constructible_v<T> && all_can_be_copied(Parts<T>());
}

template <class T>
inline constexpr bool copyable = can_be_copied<T>();

}  // namespace mobula::detail
