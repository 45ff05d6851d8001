// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <mobula/generator.hpp>
#include <mobula/object.hpp>

namespace mobula::detail {

/// Result and parameter types of a function, a method or a lambda without captures.
template <class F>
struct Signature;

template <class R, class... P>
struct Signature<R (*)(P...)> {
    using Result = R;
    using Parameters = std::tuple<P...>;
    using Object = void;
};
template <class R, class... P>
struct Signature<R (*)(P...) noexcept> : Signature<R (*)(P...)> {};
template <class R, class C, class... P>
struct Signature<R (C::*)(P...)> : Signature<R (*)(P...)> {
    using Object = C;
};
template <class R, class C, class... P>
struct Signature<R (C::*)(P...) const> : Signature<R (C::*)(P...)> {};
template <class R, class C, class... P>
struct Signature<R (C::*)(P...)&> : Signature<R (C::*)(P...)> {};
template <class R, class C, class... P>
struct Signature<R (C::*)(P...) const&> : Signature<R (C::*)(P...)> {};
template <class R, class C, class... P>
struct Signature<R (C::*)(P...) noexcept> : Signature<R (C::*)(P...)> {};
template <class R, class C, class... P>
struct Signature<R (C::*)(P...) const noexcept> : Signature<R (C::*)(P...)> {};
template <class R, class C, class... P>
struct Signature<R (C::*)(P...) & noexcept> : Signature<R (C::*)(P...)> {};
template <class R, class C, class... P>
struct Signature<R (C::*)(P...) const & noexcept> : Signature<R (C::*)(P...)> {};
template <class L>
    requires requires { &L::operator(); }
struct Signature<L> {
    using Result = typename Signature<decltype(&L::operator())>::Result;
    using Parameters = typename Signature<decltype(&L::operator())>::Parameters;
    using Object = void;
};

template <class F>
concept Callable = requires { typename Signature<F>::Result; };

template <class L>
concept Captureless = std::is_class_v<L> && Callable<L> && requires(L lambda) { +lambda; };

template <class T>
inline constexpr bool is_ref = false;
template <class T>
inline constexpr bool is_ref<Ref<T>> = true;

/// Whether a D can be made from an argument of type A.
template <class D, class A>
concept Makes = std::convertible_to<A, D> &&
                (copyable<D> || !std::same_as<std::remove_cvref_t<A>, D> || std::same_as<A, D>);

/// Whether an argument of type A may be given for a parameter of type P.
template <class P, class A>
concept Fits = std::same_as<std::remove_cvref_t<A>, Ref<std::remove_cvref_t<P>>> ||
               Makes<std::remove_cvref_t<P>, A>;

/// A parameter that a task can be given: by value, by const reference or by rvalue reference.
template <class P>
concept Passable = !std::is_lvalue_reference_v<P> || std::is_const_v<std::remove_reference_t<P>>;

/// What a parameter refers to has to be there as long as the call's result is made. What is moved
/// for an rvalue reference goes when the call returns, and a generator only begins then.
template <class R, class Parameters>
inline constexpr bool outlived = true;
template <class T, class... P>
inline constexpr bool outlived<Generator<T>, std::tuple<P...>> =
    (!std::is_rvalue_reference_v<P> && ...);

template <class Parameters>
inline constexpr bool can_travel = false;
template <class... P>
inline constexpr bool can_travel<std::tuple<P...>> = (Value<std::remove_cvref_t<P>> && ...);

template <class R>
inline constexpr bool result_travels = Value<Stored<std::remove_cvref_t<R>>>;
template <class... R>
inline constexpr bool result_travels<std::tuple<R...>> = (Value<R> && ...);
template <class T>
inline constexpr bool result_travels<Generator<T>> = Value<T>;

/// Without a signature there is nothing to check of a call, and nothing to say but this.
template <class F>
consteval bool check_signature() {
    static_assert(Callable<F> || !std::is_class_v<F>,
                  "mobula: a generic lambda cannot be a task: its parameters have no types before "
                  "it is called; give them types instead of auto");
    static_assert(Callable<F> || std::is_class_v<F>,
                  "mobula: not a function: give a function, a method or a lambda without captures");
    return Callable<F>;
}

template <class L>
consteval bool check_lambda() {
    if constexpr (!check_signature<L>()) {
        return false;
    } else {
        static_assert(Captureless<L>,
                      "mobula: a lambda that captures cannot run on another rank, nor can a "
                      "std::function or another object with an operator(): give a function or a "
                      "lambda without captures, and what it needs as arguments");
        return Captureless<L>;
    }
}

template <class Method, class A>
concept MethodOf = Callable<Method> && std::derived_from<A, typename Signature<Method>::Object>;

template <class Method, class A>
consteval bool check_method() {
    static_assert(MethodOf<Method, A>,
                  "mobula: call<method>: not a method of this actor's class that can be called on "
                  "it; data members, static and &&-qualified methods cannot");
    return MethodOf<Method, A>;
}

// What must hold of a call, each with the sentence that the user sees when it does not. The
// compiler adds the template's arguments to the sentence: so it says which argument it is, and both
// types.

template <std::size_t number, class Parameter>
consteval bool check_parameter() {
    using T = std::remove_cvref_t<Parameter>;
    static_assert(Passable<Parameter>,
                  "mobula: a task cannot take a non-const reference: objects are immutable; take "
                  "the value, or a const reference (the parameter's number and type are named "
                  "beside this)");
    static_assert(!Passable<Parameter> || Value<T>,
                  "mobula: a parameter of this function cannot travel between ranks (its number "
                  "and type are named beside this); it and what it holds must be trivially "
                  "copyable without addresses, also among the members of a struct, a standard "
                  "container or have a cereal serialize and a default constructor; "
                  "mobula::vouched<T> vouches for a struct with addresses");
    return Passable<Parameter> && Value<T>;
}

template <std::size_t number, class Parameter, class Argument>
consteval bool check_argument() {
    static_assert(Fits<Parameter, Argument>,
                  "mobula: an argument does not fit its parameter (the argument's number and both "
                  "types are named beside this): give the parameter's type, what converts to it, "
                  "or a Ref to exactly that type");
    return Fits<Parameter, Argument>;
}

template <class Result>
consteval bool check_result() {
    static_assert(result_travels<Result>,
                  "mobula: the result of this function cannot travel between ranks; it and what it "
                  "holds must be trivially copyable without addresses, also among the members of a "
                  "struct, a standard container or have a cereal serialize and a default "
                  "constructor; mobula::vouched<T> vouches for a struct with addresses");
    return result_travels<Result>;
}

template <std::size_t parameters, std::size_t arguments>
consteval bool check_number() {
    static_assert(parameters == arguments,
                  "mobula: wrong number of arguments for this function (how many parameters and "
                  "arguments there are is named beside this)");
    return parameters == arguments;
}

template <class Numbers, class Parameters>
struct Checks;
template <std::size_t... number, class... P>
struct Checks<std::index_sequence<number...>, std::tuple<P...>> {
    static consteval bool parameters() { return (check_parameter<number + 1, P>() && ...); }
    template <class... A>
    static consteval bool arguments() {
        if constexpr (!check_number<sizeof...(P), sizeof...(A)>()) {
            return false;
        } else {
            return (check_argument<number + 1, P, A>() && ...);
        }
    }
};

/// Returns whether all hold, so that the caller can stop there instead of adding errors.
template <class F, class... A>
consteval bool check_arguments() {
    using R = std::remove_cvref_t<typename Signature<F>::Result>;
    using P = typename Signature<F>::Parameters;
    using All = Checks<std::make_index_sequence<std::tuple_size_v<P>>, P>;
    static_assert(outlived<R, P>,
                  "mobula: a generator cannot take an rvalue reference: it would outlive what that "
                  "refers to; take the value, or a const reference");
    if constexpr (!outlived<R, P> || !All::parameters() || !check_result<R>()) {
        return false;
    } else {
        return All::template arguments<A...>();
    }
}
template <class F, class... A>
consteval bool check_call() {
    constexpr bool method = std::is_member_function_pointer_v<F>;
    static_assert(!method,
                  "mobula: a method runs on an actor: actor = spawn<A>(), then "
                  "actor.call<&A::method>(1)");
    if constexpr (method || !check_signature<F>()) {
        return false;
    } else {
        return check_arguments<F, A...>();
    }
}

template <class L, class... A>
consteval bool check_lambda_call() {
    if constexpr (!check_lambda<L>()) {
        return false;
    } else {
        return check_arguments<L, A...>();
    }
}

template <class Method, class A, class... Arguments>
consteval bool check_method_call() {
    if constexpr (!check_method<Method, A>()) {
        return false;
    } else {
        return check_arguments<Method, Arguments...>();
    }
}

}  // namespace mobula::detail
