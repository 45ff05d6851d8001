// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

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

/// A std::span that a parameter can be, as it only reads what it shows.
template <class P>
inline constexpr bool is_shown = false;
template <class T>
inline constexpr bool is_shown<std::span<const T>> = true;
template <>
inline constexpr bool is_shown<std::span<const bool>> = false;  // a vector of them has no place

/// What a task holds for a parameter: of a span the vector that it shows.
template <class P>
struct HeldFor {
    using type = std::remove_cvref_t<P>;
};
template <class T>
    requires is_shown<std::span<const T>>
struct HeldFor<std::span<const T>> {
    using type = std::vector<T>;
};
template <class P>
using Held = typename HeldFor<P>::type;

template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;

/// Whether an A is Refs to the elements of a parameter of type P.
template <class P, class A>
concept GivesElements = is_vector<Held<P>> &&
                        std::convertible_to<A, std::span<const Ref<typename Held<P>::value_type>>>;

/// Whether an A can be shown by a parameter that is a span, from a copy of its elements.
template <class P, class A>
concept CopiesElements = is_shown<P> && copyable<Held<P>> && std::convertible_to<A, P>;

/// Whether an argument of type A may be given for a parameter of type P.
template <class P, class A>
concept Fits = std::same_as<std::remove_cvref_t<A>, Ref<Held<P>>> || GivesElements<P, A> ||
               Makes<Held<P>, A> || CopiesElements<P, A>;

/// What holds Refs one after another; the Refs' type.
template <class A>
struct RefsIn {};
template <class T>
struct RefsIn<std::vector<Ref<T>>> {
    using type = T;
};
template <class T, std::size_t n>
struct RefsIn<std::array<Ref<T>, n>> {
    using type = T;
};
template <class T, std::size_t n>
struct RefsIn<std::span<Ref<T>, n>> {
    using type = T;
};
template <class T, std::size_t n>
struct RefsIn<std::span<const Ref<T>, n>> {
    using type = T;
};
template <class A>
concept HoldsRefs = requires { typename RefsIn<std::remove_cvref_t<A>>::type; };

/// A parameter that a task can be given: by value, by const reference or by rvalue reference.
template <class P>
concept Passable = !std::is_lvalue_reference_v<P> || std::is_const_v<std::remove_reference_t<P>>;

template <class P>
inline constexpr bool shows_to_change = false;
template <class T>
    requires(!std::is_const_v<T>)
inline constexpr bool shows_to_change<std::span<T>> = true;

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
inline constexpr bool can_travel<std::tuple<P...>> = (Value<Held<P>> && ...);

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
    using T = Held<Parameter>;
    static_assert(!shows_to_change<Parameter>,
                  "mobula: a task cannot take a span of what it may change (the parameter's number "
                  "and type are named beside this): objects are immutable; take a "
                  "std::span<const T>, or a std::vector<T> by value");
    static_assert(Passable<Parameter>,
                  "mobula: a task cannot take a non-const reference: objects are immutable; take "
                  "the value, or a const reference (the parameter's number and type are named "
                  "beside this)");
    static_assert(
        !Passable<Parameter> || Value<T> || shows_to_change<Parameter> || !check_no_promise<T>(),
        "mobula: a parameter of this function cannot travel between ranks (its number "
        "and type are named beside this); it and what it holds must be trivially "
        "copyable without addresses, also among the members of a struct, a standard "
        "container or have a cereal serialize and a default constructor; "
        "mobula::vouched<T> vouches for a struct with addresses");
    return Passable<Parameter> && Value<T>;
}

template <std::size_t number, class Parameter, class Argument>
consteval bool check_argument() {
    static_assert(Fits<Parameter, Argument> || !HoldsRefs<Argument>,
                  "mobula: an argument of many Refs does not fit its parameter (the argument's "
                  "number and both types are named beside this): a parameter std::vector<T>, "
                  "const std::vector<T>& or std::span<const T> takes Refs to exactly that T, and "
                  "the task waits for all of them; to a parameter std::vector<Ref<T>> they travel "
                  "as they are");
    static_assert(Fits<Parameter, Argument> || HoldsRefs<Argument>,
                  "mobula: an argument does not fit its parameter (the argument's number and both "
                  "types are named beside this): give the parameter's type, what converts to it, "
                  "or a Ref to exactly that type");
    return Fits<Parameter, Argument>;
}

template <class Result>
consteval bool check_result() {
    static_assert(result_travels<Result> || !check_no_promise<Result>(),
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
