// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mobula/task.hpp>

namespace mobula {
namespace detail {

template <class... A>
inline constexpr bool starts_with_call_options = false;
template <class First, class... A>
inline constexpr bool starts_with_call_options<First, A...> =
    std::same_as<std::remove_cvref_t<First>, CallOptions>;

}  // namespace detail

/// A handle of an actor: an object of class A that lives on one rank and runs its methods one
/// after another (or max_concurrency at once). Copies name the same actor and may travel; when the
/// last one goes, the actor ends after the calls made before. Reentrant.
template <class A>
class Actor {
public:
    Actor() = default;
    explicit Actor(detail::CellPtr cell) noexcept : cell_(std::move(cell)) {}

    /// False for a default-made handle, which may only be assigned to.
    [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(cell_); }

    /// Submits a call of a method and gives its future, as remote() does for a function. Calls of
    /// one caller (one task, one actor method, the driver) take effect in the order in which they
    /// were made, whenever their arguments become ready. `get` throws ActorDied when the actor is
    /// gone, with the reason.
    ///
    /// A method that returns a Generator<T> gives a Stream<T>. It is under way until its stream
    /// ends, also while it waits for its consumer, and so the next call waits that long too (with
    /// max_concurrency 1): read the stream to its end, or drop it, before waiting for a later call.
    /// When the actor dies meanwhile, what was yielded before can be read, then next() throws
    /// ActorDied.
    ///
    /// A call goes before the tasks that are ready on the actor's rank; what runs there already
    /// ends, or waits, first (see ActorOptions::priority).
    template <auto method, class... Arguments>
        requires(!detail::starts_with_call_options<Arguments...>)
    auto call(Arguments&&... arguments) const {
        return submit<method>(nullptr, std::forward<Arguments>(arguments)...);
    }

    /// The same with options: `actor.call<&Store::find>({.priority = 1}, key)`.
    template <auto method, class... Arguments>
    auto call(const CallOptions& options, Arguments&&... arguments) const {
        return submit<method>(&options, std::forward<Arguments>(arguments)...);
    }

    /// Ready when the constructor has run; fails with the constructor's exception.
    [[nodiscard]] Ref<void> ready() const { return Ref<void>(cell_); }

    [[nodiscard]] const detail::CellPtr& cell() const noexcept { return cell_; }

    void save(OutputArchive& archive) const { Ref<void>(cell_).save(archive); }
    void load(InputArchive& archive) {
        Ref<void> ref;
        ref.load(archive);
        cell_ = ref.cell();
    }

private:
    template <auto method, class... Arguments>
    auto submit(const CallOptions* options, Arguments&&... arguments) const {
        if constexpr (detail::check_method_call<decltype(method), A, Arguments...>()) {
            using Call = detail::ActorCall<A, method>;
            detail::Task& task = detail::make_task<Call>(std::forward<Arguments>(arguments)...);
            auto refs = detail::Outcome<typename Call::Result>::refs(task);
            detail::call(cell_.get(), task, options);
            return refs;
        } else {
            return detail::refused_call<decltype(method)>();
        }
    }

    detail::CellPtr cell_;
};

namespace detail {

/// The form in which an argument travels to a constructor: "text" as a std::string.
template <class Argument>
struct Travelling {
    using type = std::remove_cvref_t<Argument>;
};
template <std::size_t size>
struct Travelling<const char (&)[size]> {
    using type = std::string;
};

/// The type that a constructor gets for an argument: of a Ref<T> the T, if it can be made so.
template <class Argument>
struct Unwrapped {
    using type = Argument;
};
template <class T>
struct Unwrapped<Ref<T>> {
    using type = T;
};

/// The same of Refs in a row: a vector of T.
template <class Argument>
struct Elements {
    using type = Argument;
};
template <HoldsRefs Argument>
struct Elements<Argument> {
    using type = std::vector<typename RefsIn<Argument>::type>;
};

/// The first of several ways to call the constructor that is one; void where none is.
template <class A, class... Calls>
struct FirstCall {
    using type = void;
};
template <class A, class... P, class... Others>
struct FirstCall<A, ConstructorCall<A, P...>, Others...>
    : std::conditional_t<std::is_constructible_v<A, P...>,
                         std::type_identity<ConstructorCall<A, P...>>, FirstCall<A, Others...>> {};

template <class T>
using Unwrap = typename Unwrapped<T>::type;
template <class T>
using Elemented = typename Elements<T>::type;

/// How the constructor is called with arguments of these types: what names objects is waited for
/// where the constructor takes the values, and many Refs in a row travel where it takes those.
template <class A, class... T>
using SpawnCall = typename FirstCall<A, ConstructorCall<A, Unwrap<T>...>, ConstructorCall<A, T...>,
                                     ConstructorCall<A, Unwrap<Elemented<T>>...>,
                                     ConstructorCall<A, Elemented<T>...>>::type;

template <class Call>
inline constexpr bool call_travels = true;
template <class A, class... P>
inline constexpr bool call_travels<ConstructorCall<A, P...>> = can_travel<std::tuple<P...>>;

template <class Call>
inline constexpr bool gives_no_promise = true;
template <class A, class... P>
inline constexpr bool gives_no_promise<ConstructorCall<A, P...>> =
    (check_no_promise<Held<P>>() && ...);

template <class A, class... Arguments>
Actor<A> spawn_actor(const ActorOptions& options, Arguments&&... arguments) {
    using Call = SpawnCall<A, typename Travelling<Arguments&&>::type...>;
    static_assert(!std::is_void_v<Call>,
                  "mobula: spawn: the actor's class has no constructor for these arguments");
    static_assert(call_travels<Call> || !gives_no_promise<Call>,
                  "mobula: spawn: an argument cannot travel between ranks; it and what it holds "
                  "must be trivially copyable without addresses, also among the members of a "
                  "struct, a standard container or have a cereal serialize and a default "
                  "constructor; mobula::vouched<T> vouches for a struct with addresses");
    if constexpr (!std::is_void_v<Call> && call_travels<Call>) {
        Task& task = detail::make_task<Call>(std::forward<Arguments>(arguments)...);
        return Actor<A>(detail::spawn(task, options));
    } else {
        return {};
    }
}

template <class... A>
inline constexpr bool starts_with_actor_options = false;
template <class First, class... A>
inline constexpr bool starts_with_actor_options<First, A...> =
    std::same_as<std::remove_cvref_t<First>, ActorOptions>;

}  // namespace detail

/// Makes an actor on a rank that its options or else the load choose: `spawn<Trainer>({.gpus = 1},
/// 3)`. Returns at once; the constructor waits for a Ref<T> given for its parameter T, and for all
/// of many that are given for a vector or span of T, as remote() does; where it takes them as they
/// are given, they travel. What a std::span<const T> shows goes with the constructor's end. Throws
/// Infeasible, and BadInput for a wrong option or when an actor of this rank has the name. Rank 0
/// keeps the names of all ranks, and the constructor of an actor with a name waits for its answer.
/// When another actor has the name, neither the constructor nor any call runs, and `get` of ready()
/// and of each call throws ActorDied with that reason.
template <class A, class... Arguments>
    requires(!detail::starts_with_actor_options<Arguments...>)
Actor<A> spawn(Arguments&&... arguments) {
    return detail::spawn_actor<A>(ActorOptions{}, std::forward<Arguments>(arguments)...);
}
// clang-format off
template <class A, class... Arguments>
Actor<A> spawn(const ActorOptions& options, Arguments&&... arguments) {  // mobula: see ActorOptions
    return detail::spawn_actor<A>(options, std::forward<Arguments>(arguments)...);
}
// clang-format on
template <class A, class... Arguments>
Actor<A> spawn(detail::NoOptions, Arguments&&... arguments) {
    return detail::spawn_actor<A>(ActorOptions{}, std::forward<Arguments>(arguments)...);
}
template <class A, class... Arguments>
Actor<A> spawn(const detail::ForeignOptions& options, Arguments&&...) {
    detail::refuse_options(options);
    return {};
}

/// The living actor of that name, or nothing. Asks rank 0. The caller answers for the class A.
template <class A>
[[nodiscard]] std::optional<Actor<A>> find(std::string_view name) {
    detail::CellPtr cell = detail::find_actor(name);
    if (!cell) return std::nullopt;
    return Actor<A>(std::move(cell));
}

/// Ends the actor: no further call begins, waiting ones fail with ActorDied, in a running method
/// mobula::cancelled() turns true, and what that method returns still arrives.
template <class A>
void kill(const Actor<A>& actor) {
    detail::kill(actor.cell().get());
}

/// These are there only for their sentences.
template <class Number>
    requires std::is_arithmetic_v<Number>
detail::Refused get(Number) {
    static_assert(!std::is_arithmetic_v<Number>,
                  "mobula: get(value): a value is no Ref; get waits for what remote(), call() or "
                  "put() returned");
    return {};
}
template <class A, class... Limit>
detail::Refused get(const Actor<A>&, const Limit&...) {
    static_assert(detail::never<A>,
                  "mobula: get(actor): an actor has no value; get(actor.call<&A::method>()) waits "
                  "for a call, get(actor.ready()) for the constructor");
    return {};
}

/// Hands each call to an idle actor. An actor with a result that failed by its death gets no more
/// calls; when all are dead, every submitted call fails with ActorDied. A failed call is not
/// repeated on another actor, because it may have been done in part. Thread-bound to its task.
///
///     mobula::ActorPool<Trainer, Loss> pool(actors);
///     for (const Batch& batch : batches) pool.submit<&Trainer::step>(batch);
///     while (auto loss = pool.next()) use(mobula::get(*loss));
template <class A, class R>
class ActorPool {
public:
    explicit ActorPool(std::vector<Actor<A>> actors) : actors_(std::move(actors)) {
        if (actors_.empty()) throw BadInput("an ActorPool needs at least one actor");
        for (std::size_t i = 0; i < actors_.size(); ++i) idle_.push_back(i);
    }

    /// Calls the method on an idle actor; waits for one when all are busy.
    template <auto method, class... Arguments>
    void submit(Arguments&&... arguments) {
        while (idle_.empty() && running_ != 0) collect();
        std::size_t number = 0;  // when all are dead, the call fails by any of them
        const bool idle = !idle_.empty();
        if (idle) number = idle_.front();
        Ref<R> result =
            actors_[number].template call<method>(std::forward<Arguments>(arguments)...);
        if (idle) idle_.pop_front();  // not before: a call that throws leaves it idle
        const std::size_t place = arrivals_.add(result);
        if (place == under_way_.size()) under_way_.emplace_back();
        under_way_[place] = {std::move(result), number};
        ++running_;
    }

    /// The next result in the order of completion; empty when nothing is under way.
    [[nodiscard]] std::optional<Ref<R>> next() {
        if (finished_.empty() && running_ == 0) return std::nullopt;
        if (finished_.empty()) collect();
        Ref<R> result = std::move(finished_.front());
        finished_.pop_front();
        return result;
    }

private:
    struct UnderWay {
        Ref<R> result;
        std::size_t actor = 0;
    };

    void collect() {
        UnderWay& one = under_way_[arrivals_.next().value()];
        if (!detail::actor_died(*one.result.cell())) idle_.push_back(one.actor);
        finished_.push_back(std::move(one.result));
        --running_;
    }

    std::vector<Actor<A>> actors_;
    std::deque<std::size_t> idle_;
    Arrivals arrivals_;
    std::vector<UnderWay> under_way_;  // by their numbers in there
    std::size_t running_ = 0;
    std::deque<Ref<R>> finished_;
};

}  // namespace mobula
