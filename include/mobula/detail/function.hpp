// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Erases a typed call: from a function and its arguments to FunctionInfo and Task.

#include <algorithm>
#include <array>
#include <new>
#include <string>
#include <tuple>
#include <typeinfo>
#include <utility>

#include <mobula/detail/gathered.hpp>
#include <mobula/detail/signature.hpp>
#include <mobula/stream.hpp>

namespace mobula::detail {

/// The demangled, shortened name of a call for people.
std::string readable_name(const char* mangled);

/// Larger values stay where they are until the task's rank asks for them.
inline constexpr std::size_t known_bytes_max = 1024;

/// One argument in its task: a value, or an object that will be there when the task runs.
template <class P>
class Parameter {
public:
    using D = std::remove_cvref_t<P>;

    template <class A>
    explicit Parameter(A&& argument) {
        if constexpr (std::same_as<std::remove_cvref_t<A>, Ref<D>>) {
            bind_input(input_, CellPtr(argument.cell()));
        } else {
            new (&value_) D(std::forward<A>(argument));
        }
    }
    /// From a stream: a value is left out until fill().
    explicit Parameter(Reader& reader) {
        if (reader.raw<std::uint8_t>() != 0) {
            bind_input(input_, CellPtr(reader.reference()));
        } else {
            input_.needs_value = true;
        }
    }
    Parameter(const Parameter&) = delete;
    Parameter& operator=(const Parameter&) = delete;
    ~Parameter() {
        if (input_.cell != nullptr) {
            unbind_input(input_);
        } else if (!input_.needs_value) {
            value_.~D();
        }
    }

    /// The value of an object that travels as a value would: it is there, plain and small, and the
    /// function cannot see the difference. Null for all others.
    [[nodiscard]] const D* known_value() const noexcept {
        if constexpr (Plain<D> && sizeof(D) <= known_bytes_max) {
            if (input_.cell == nullptr) return nullptr;
            return static_cast<const D*>(ready_value(*input_.cell, type_info<D>));
        } else {
            return nullptr;
        }
    }
    /// What the constructor reads. `known` is what known_value() said.
    void encode_head(Writer& writer, const D* known) const {
        const bool by_reference = input_.cell != nullptr && known == nullptr;
        writer.raw(static_cast<std::uint8_t>(by_reference));
        if (by_reference) writer.reference(CellPtr::share(*input_.cell));
    }
    /// What fill() reads.
    void encode_value(Writer& writer, const D* known) const {
        if (known != nullptr) {
            detail::encode(writer, *known);
        } else if (input_.cell == nullptr) {
            detail::encode(writer, value_);
        }
    }
    [[nodiscard]] bool left_out() const noexcept {
        return input_.cell == nullptr && input_.needs_value;
    }
    void fill(Reader& reader) {
        if (!left_out()) return;
        detail::decode<D>(reader, &value_);
        input_.needs_value = false;
    }
    [[nodiscard]] std::size_t weight() const noexcept {
        return input_.cell != nullptr || input_.needs_value ? 0 : weight_of(value_);
    }

    [[nodiscard]] bool loud() const noexcept {
        return !is_quiet<D> && input_.cell == nullptr && !input_.needs_value;
    }

    void visit(InputVisitor visitor, void* context) {
        if (input_.cell != nullptr) visitor(input_, context);
    }

    /// What the function gets: a const reference without a copy, or a value of its own, moved
    /// where nobody else can see the difference.
    decltype(auto) take(bool keep) {
        if constexpr (std::is_lvalue_reference_v<P>) {
            return static_cast<const D&>(input_.cell == nullptr ? value_ : seen_input<D>(input_));
        } else {
            return taken_argument<D>(input_, value_, keep);
        }
    }

private:
    Input input_;
    union {
        D value_;  // NOLINT(readability-identifier-naming): a private member all the same
    };
};

template <std::size_t number, class P>
struct Slot {
    template <class A>
    explicit Slot(A&& argument) : parameter(std::forward<A>(argument)) {}
    Parameter<P> parameter;
};

struct FromStream {};

/// The parameters of a call. No std::tuple, because a stream has to be read from left to right:
/// base classes are constructed in that order, a tuple's elements in whichever its library likes.
template <class Numbers, class... P>
class Slots;
template <std::size_t... number, class... P>
class Slots<std::index_sequence<number...>, P...> : Slot<number, P>... {
public:
    Slots(FromStream, [[maybe_unused]] Reader& reader) : Slot<number, P>(reader)... {}
    template <class... A>
    explicit Slots(A&&... arguments) : Slot<number, P>(std::forward<A>(arguments))... {}

    template <class F>
    decltype(auto) apply(F&& use) {
        return use(static_cast<Slot<number, P>&>(*this).parameter...);
    }
    template <class F>
    decltype(auto) apply(F&& use) const {
        return use(static_cast<const Slot<number, P>&>(*this).parameter...);
    }
};

template <class Parameters>
struct ArgumentsOf;
template <class... P>
struct ArgumentsOf<std::tuple<P...>> {
    using type = Slots<std::index_sequence_for<P...>, P...>;
};

/// Whether a call leaves its arguments as they were, if it is told to keep them.
template <class Parameters>
inline constexpr bool can_repeat = false;
template <class... P>
inline constexpr bool can_repeat<std::tuple<P...>> =
    ((std::is_lvalue_reference_v<P> || copyable<std::remove_cvref_t<P>>)&&...);

template <class Parameters>
inline constexpr bool all_quiet = false;
template <class... P>
inline constexpr bool all_quiet<std::tuple<P...>> = (is_quiet<Held<P>> && ...);

/// What the caller of a function with this result holds.
template <class R>
struct Outcome {
    using T = std::remove_cvref_t<R>;
    static constexpr std::uint32_t cells = 1;
    static constexpr bool stream = false;
    static constexpr std::array<const TypeInfo*, 1> types{&type_info<Stored<T>>};
    static Ref<T> refs(Task& task) { return Ref<T>(result_cell(task, 0)); }

    template <class Invoke>
    static void store(Task& task, Invoke&& invoke) {
        void* place = result_place(task, 0);
        if constexpr (std::is_void_v<T>) {
            invoke();
            new (place) Nothing;
        } else {
            new (place) T(invoke());
        }
        finish_result(task, 0);
    }
};
template <class... R>
struct Outcome<std::tuple<R...>> {
    static constexpr std::uint32_t cells = sizeof...(R);
    static constexpr bool stream = false;
    static constexpr std::array<const TypeInfo*, sizeof...(R)> types{&type_info<R>...};
    static std::tuple<Ref<R>...> refs(Task& task) {
        return [&]<std::size_t... i>(std::index_sequence<i...>) {
            return std::tuple<Ref<R>...>{Ref<R>(result_cell(task, i))...};
        }(std::index_sequence_for<R...>());
    }

    template <class Invoke>
    static void store(Task& task, Invoke&& invoke) {
        std::tuple<R...> results = invoke();
        [&]<std::size_t... i>(std::index_sequence<i...>) {
            ((new (result_place(task, i)) R(std::move(std::get<i>(results))),
              finish_result(task, i)),
             ...);
        }(std::index_sequence_for<R...>());
    }
};
template <class T>
struct Outcome<Generator<T>> {
    static constexpr std::uint32_t cells = 1;
    static constexpr bool stream = true;
    static constexpr std::array<const TypeInfo*, 1> types{&type_info<Nothing>};
    static Stream<T> refs(Task& task) { return Stream<T>(result_cell(task, 0)); }

    template <class Invoke>
    static void store(Task& task, Invoke&& invoke) {
        Generator<T> generator = invoke();
        while (std::optional<T> item = generator.next()) {
            new (item_place(task, type_info<T>)) T(std::move(*item));
            finish_item(task);
        }
        new (result_place(task, 0)) Nothing;
        finish_result(task, 0);
    }
};

/// The erased form of a call; its kind `Call` says how to invoke it.
template <class Call>
struct Erased {
    using Arguments = typename ArgumentsOf<typename Call::Parameters>::type;
    using Results = Outcome<typename Call::Result>;

    static void run(Task& task, void* place, void* self) {
        auto& arguments = *static_cast<Arguments*>(place);
        const bool keep = keeps_arguments(task);
        // A value, also of what is given by reference: that may refer to an argument, which a value
        // of its own does not outlive.
        using Given = std::remove_cvref_t<typename Call::Result>;
        Results::store(task, [&]() -> Given {
            return arguments.apply(
                [&](auto&... each) -> Given { return Call::invoke(self, each.take(keep)...); });
        });
    }
    static void visit(void* place, InputVisitor visitor, void* context) {
        static_cast<Arguments*>(place)->apply(
            [&](auto&... each) { (each.visit(visitor, context), ...); });
    }
    static void encode(const void* place, Writer& writer) {
        // Heads first, so that objects can be bound before any value is decoded. Each object is
        // looked at once: it may become ready between its head and its value.
        static_cast<const Arguments*>(place)->apply([&](const auto&... each) {
            const std::tuple known{each.known_value()...};
            std::apply(
                [&](const auto*... value) {
                    (each.encode_head(writer, value), ...);
                    (each.encode_value(writer, value), ...);
                },
                known);
        });
    }
    static bool open(Reader& reader, void* place) {
        auto* const arguments = new (place) Arguments(FromStream{}, reader);
        return arguments->apply([](const auto&... each) { return (each.left_out() || ...); });
    }
    static void fill(Reader& reader, void* place) {
        static_cast<Arguments*>(place)->apply([&](auto&... each) { (each.fill(reader), ...); });
    }
    static std::size_t weigh(const void* place) noexcept {
        return static_cast<const Arguments*>(place)->apply(
            [](const auto&... each) { return (std::size_t{0} + ... + each.weight()); });
    }
    static bool loud(const void* place) noexcept {
        return static_cast<const Arguments*>(place)->apply(
            [](const auto&... each) { return (each.loud() || ...); });
    }
    static void destroy(void* place) noexcept { static_cast<Arguments*>(place)->~Arguments(); }

    static constexpr FunctionInfo info{
        [] { return readable_name(typeid(typename Call::Named).name()); },
        sizeof(Arguments),
        Results::cells,
        Results::stream,
        Results::types.data(),
        &run,
        &visit,
        &encode,
        &open,
        &fill,
        &destroy,
        Call::actor,
        can_repeat<typename Call::Parameters>,
        std::max<std::size_t>(alignof(Arguments), 16),
        all_quiet<typename Call::Parameters>,
        &weigh,
        Call::method_of,
        &loud};
};

template <auto function>
struct FreeCall {
    using Named = FreeCall;  ///< by which people are told what was called
    using Result = typename Signature<decltype(function)>::Result;
    using Parameters = typename Signature<decltype(function)>::Parameters;
    static constexpr const ActorInfo* actor = nullptr;
    static constexpr const ActorInfo* method_of = nullptr;
    template <class... A>
    static decltype(auto) invoke(void*, A&&... arguments) {
        return function(std::forward<A>(arguments)...);
    }
};

template <class Lambda>
struct LambdaCall {
    using Named = LambdaCall;
    using Result = typename Signature<Lambda>::Result;
    using Parameters = typename Signature<Lambda>::Parameters;
    static constexpr const ActorInfo* actor = nullptr;
    static constexpr const ActorInfo* method_of = nullptr;
    template <class... A>
    static decltype(auto) invoke(void*, A&&... arguments) {
        // A lambda without captures may be called from nothing (stateless lambdas of C++20).
        return Lambda{}(std::forward<A>(arguments)...);
    }
};

template <auto method>
struct MethodCall {
    using Named = MethodCall;
    using S = Signature<decltype(method)>;
    using Result = typename S::Result;
    using Parameters = typename S::Parameters;
    static constexpr const ActorInfo* actor = nullptr;
};

template <class A>
inline constexpr ActorInfo actor_info{sizeof(A), alignof(A),
                                      [](void* self) noexcept { static_cast<A*>(self)->~A(); }};

/// A method called on an actor of class A. The class that has the method may be a base of it, and
/// then need not lie where the actor begins.
template <class A, auto method>
struct ActorCall : MethodCall<method> {
    static constexpr const ActorInfo* method_of = &actor_info<A>;
    template <class... Arguments>
    static decltype(auto) invoke(void* self, Arguments&&... arguments) {
        typename MethodCall<method>::S::Object& object = *static_cast<A*>(self);
        return (object.*method)(std::forward<Arguments>(arguments)...);
    }
};

template <class A, class... P>
struct ConstructorCall {
    using Named = ConstructorCall;
    using Result = void;
    using Parameters = std::tuple<P...>;
    static constexpr const ActorInfo* actor = &actor_info<A>;
    static constexpr const ActorInfo* method_of = nullptr;
    template <class... Arguments>
    static void invoke(void* self, Arguments&&... arguments) {
        new (self) A(std::forward<Arguments>(arguments)...);
    }
};

/// Enters the call into the function table before main starts.
template <class Call>
struct Registered {
    static bool enter() {
        register_function(Erased<Call>::info, typeid(Call).name());
        return true;
    }
    inline static const bool entered = enter();
};

template <class Call, class... A>
Task& make_task(A&&... arguments) {
    static_cast<void>(Registered<Call>::entered);
    Task& task = *new_task(Erased<Call>::info);
    try {
        new (arguments_of(task)) typename Erased<Call>::Arguments(std::forward<A>(arguments)...);
    } catch (...) {
        discard(task);
        throw;
    }
    return task;
}

template <class Call, class... A>
auto submit_call(const TaskOptions* options, A&&... arguments) {
    Task& task = detail::make_task<Call>(std::forward<A>(arguments)...);
    auto refs = Outcome<typename Call::Result>::refs(task);
    submit(task, options);
    return refs;
}

/// The result of a call that was refused with a sentence: of the type that the right call has, so
/// that no second error follows.
template <class F>
auto refused_call() {
    if constexpr (!Callable<F>) {
        return Refused();
    } else {
        using R = std::remove_cvref_t<typename Signature<F>::Result>;
        if constexpr (!result_travels<R>) {
            return Refused();
        } else if constexpr (Outcome<R>::stream) {
            return decltype(Outcome<R>::refs(std::declval<Task&>()))(CellPtr());
        } else {
            return decltype(Outcome<R>::refs(std::declval<Task&>()))();
        }
    }
}

}  // namespace mobula::detail
