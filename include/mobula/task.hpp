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

template <class F>
inline constexpr bool called_by_pointer =
    std::is_member_function_pointer_v<F> || std::is_function_v<std::remove_pointer_t<F>>;

template <class F>
auto refuse_pointer() {
    static_assert(!called_by_pointer<F>,
                  "mobula: remote(f, 1): a function is given as remote<f>(1), so that all ranks "
                  "know it; a method runs on an actor: actor.call<&A::method>(1)");
    return refused_call<F>();
}

}  // namespace detail

/// Chooses one of several functions, or methods, that have the same name:
/// `remote<overload<int(int)>(area)>(3)`, `actor.call<overload<int(int)>(&Shape::area)>(3)`.
template <class F>
consteval F* overload(F* function) {
    return function;
}
template <class F, class A>
consteval auto overload(F A::*method) {
    return method;
}

// The compiler shows the lines of these declarations where none fits, with the remarks behind them.
// clang-format off

/// Submits a call of `function` (a function, or a lambda without captures) as a task and returns
/// its future at once: Ref<R>, for a std::tuple one Ref each, for a Generator<T> a Stream<T>. A
/// Ref<P> given for a parameter P makes the task wait for that object. Many Ref<T> in a row, as a
/// std::vector<Ref<T>>, an array or a span of them, given for a parameter std::vector<T>,
/// const std::vector<T>& or std::span<const T> make it wait for all of those: it gets their values
/// in that order, copied together (an Array<T>'s bytes are not). For a parameter
/// std::vector<Ref<T>> they travel. What a std::span<const T> shows lies in the task and goes with
/// it: not to be kept beyond the call, or beyond the end of the stream of a Generator<T>. Throws
/// Infeasible, and BadInput for a Ref that names nothing.
template <auto function, class... A>
    requires(!detail::starts_with_options<A...>)
auto remote(A&&... arguments) {  // mobula: an overloaded function? remote<overload<int(int)>(f)>(7)
    if constexpr (detail::check_call<decltype(function), A...>()) {
        return detail::submit_call<detail::FreeCall<function>>(nullptr,
                                                               std::forward<A>(arguments)...);
    } else {
        return detail::refused_call<decltype(function)>();
    }
}

/// The same with options: `remote<simulate>({.cpus = 2}, policy, seed)`.
template <auto function, class... A>
auto remote(const TaskOptions& given, A&&... arguments) {  // mobula: all options: see TaskOptions
    if constexpr (detail::check_call<decltype(function), A...>()) {
        return detail::submit_call<detail::FreeCall<function>>(&given,
                                                               std::forward<A>(arguments)...);
    } else {
        return detail::refused_call<decltype(function)>();
    }
}
// clang-format on
template <auto function, class... A>
auto remote(detail::NoOptions, A&&... arguments) {
    return remote<function>(TaskOptions(), std::forward<A>(arguments)...);
}
template <auto function, class... A>
auto remote(const detail::ForeignOptions& options, A&&...) {
    detail::refuse_options(options);
    return detail::refused_call<decltype(function)>();
}

/// There only to say how a function is given.
template <class F, class... A>
    requires(detail::called_by_pointer<F>)
auto remote(F, A&&...) {
    return detail::refuse_pointer<F>();
}
template <class F, class... A>
    requires(detail::called_by_pointer<F>)
auto remote(const TaskOptions&, F, A&&...) {
    return detail::refuse_pointer<F>();
}

/// The same for a lambda in place: `remote([](int i) { return i * i; }, 7)`.
template <class Lambda, class... A>
    requires(std::is_class_v<Lambda> && !std::same_as<Lambda, TaskOptions>)
auto remote(Lambda, A&&... arguments) {
    if constexpr (detail::check_lambda_call<Lambda, A...>()) {
        return detail::submit_call<detail::LambdaCall<Lambda>>(nullptr,
                                                               std::forward<A>(arguments)...);
    } else {
        return detail::refused_call<Lambda>();
    }
}

template <class Lambda, class... A>
    requires std::is_class_v<Lambda>
auto remote(const TaskOptions& options, Lambda, A&&... arguments) {
    if constexpr (detail::check_lambda_call<Lambda, A...>()) {
        return detail::submit_call<detail::LambdaCall<Lambda>>(&options,
                                                               std::forward<A>(arguments)...);
    } else {
        return detail::refused_call<Lambda>();
    }
}

}  // namespace mobula
