// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <utility>

#include <mobula/detail/function.hpp>

namespace mobula {
namespace detail {

template <class... A>
inline constexpr bool starts_with_options = false;
template <class First, class... A>
inline constexpr bool starts_with_options<First, A...> =
    std::same_as<std::remove_cvref_t<First>, TaskOptions>;

}  // namespace detail

/// Submits a call of `function` (a function, or a lambda without captures) as a task and returns
/// its future at once: Ref<R>, for a std::tuple one Ref each, for a Generator<T> a Stream<T>. A
/// Ref<P> given for a parameter P makes the task wait for that object. Throws Infeasible.
template <auto function, class... A>
    requires(!detail::starts_with_options<A...>)
auto remote(A&&... arguments) {
    if constexpr (detail::check_call<decltype(function), A...>()) {
        return detail::submit_call<detail::FreeCall<function>>(nullptr,
                                                               std::forward<A>(arguments)...);
    }
}

/// The same with options: `remote<simulate>({.cpus = 2}, policy, seed)`.
template <auto function, class... A>
auto remote(const TaskOptions& options, A&&... arguments) {
    if constexpr (detail::check_call<decltype(function), A...>()) {
        return detail::submit_call<detail::FreeCall<function>>(&options,
                                                               std::forward<A>(arguments)...);
    }
}

/// The same for a lambda in place: `remote([](int i) { return i * i; }, 7)`.
template <class Lambda, class... A>
    requires(std::is_class_v<Lambda> && !std::same_as<Lambda, TaskOptions>)
auto remote(Lambda, A&&... arguments) {
    if constexpr (detail::check_lambda<Lambda>()) {
        if constexpr (detail::check_arguments<Lambda, A...>()) {
            return detail::submit_call<detail::LambdaCall<Lambda>>(nullptr,
                                                                   std::forward<A>(arguments)...);
        }
    }
}

template <class Lambda, class... A>
    requires std::is_class_v<Lambda>
auto remote(const TaskOptions& options, Lambda, A&&... arguments) {
    if constexpr (detail::check_lambda<Lambda>()) {
        if constexpr (detail::check_arguments<Lambda, A...>()) {
            return detail::submit_call<detail::LambdaCall<Lambda>>(&options,
                                                                   std::forward<A>(arguments)...);
        }
    }
}

}  // namespace mobula
