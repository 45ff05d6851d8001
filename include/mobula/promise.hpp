// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

#include <mobula/detail/promise.hpp>
#include <mobula/object.hpp>

namespace mobula {

/// Completes a Ref by hand, where no task makes the value: a callback, a thread of the user's own
/// or a later call of an actor does.
///
///     mobula::Promise<int> promise;
///     mobula::Ref<int> ref = promise.ref();  // for get, for tasks on any rank, to travel
///     library.on_answer([&](int answer) { promise.set_value(answer); });
///
/// Completed once, by set_value() or set_exception(); the second time throws BadInput. A Promise
/// that is destroyed before, as by the death of the actor that has it, fails its Ref with
/// BrokenPromise. What waits is not told earlier: the report of a job that stands still says "waits
/// for a Promise".
///
/// cancel() of the Ref, on any rank, fails it with Cancelled at once; cancelled() is true from then
/// on, and the completion that still comes has no effect and throws nothing.
///
/// Can be moved and not copied. Stays on the rank that made it: the Ref travels. The object lives
/// as long as the Promise or a Ref or view on any rank.
///
/// set_value(), set_exception(), ref() and cancelled() are thread-safe, and any thread of the rank
/// may call them between the start and the end of the driver; moving and destroying is for one
/// thread. They wait for nothing but, where a task on another rank may see the value, for what the
/// calling task has printed before to be on the terminal.
template <class T>
class Promise {
    static_assert(Value<detail::Stored<T>>,
                  "mobula: Promise<T>: the type cannot travel between ranks, and its Ref does; it "
                  "and what it holds must be trivially copyable without addresses, also among the "
                  "members of a struct, a standard container or have a cereal serialize and a "
                  "default constructor; mobula::vouched<T> vouches for a struct with addresses");

public:
    using value_type = T;

    /// Throws Error where there is no engine.
    Promise() : cell_(detail::new_promised(detail::type_info<detail::Stored<T>>)) {}
    Promise(Promise&& other) noexcept
        : cell_(std::move(other.cell_)), completed_(other.completed_.load()) {}
    Promise& operator=(Promise&& other) noexcept {
        Promise moved(std::move(other));
        std::swap(cell_, moved.cell_);
        completed_.store(moved.completed_.exchange(completed_.load()));
        return *this;
    }
    ~Promise() {
        if (cell_ && !completed_.load()) detail::break_promised(*cell_);
    }

    /// As often as it is needed, also after the completion. Throws BadInput where the Promise was
    /// moved from.
    [[nodiscard]] Ref<T> ref() const {
        detail::check_promise(cell_.get());
        return Ref<T>(cell_);
    }
    /// Whether the Ref was cancelled, so that nobody needs the value.
    [[nodiscard]] bool cancelled() const noexcept {
        return cell_ && !completed_.load() && detail::is_done(*cell_);
    }

    /// Makes the value the object's. What the value's move constructor throws leaves the Promise
    /// as it was.
    template <class V = T>
        requires(!std::is_void_v<T> && std::convertible_to<V, detail::Stored<T>>)
    void set_value(V&& value) {
        complete([&](void* place) { new (place) T(std::forward<V>(value)); });
    }
    void set_value()
        requires std::is_void_v<T>
    {
        complete([](void* place) { new (place) detail::Nothing; });
    }
    /// Fails the object: `get` throws a TaskError with the exception's type and text, what failed
    /// tasks throw as such, and a type that travels<E>() names as itself.
    void set_exception(const std::exception_ptr& exception) {
        detail::check_exception(exception);
        begin();
        detail::fail_promised(*cell_, exception);
    }
    /// The same of an exception that was not thrown: `set_exception(std::runtime_error("no"))`.
    template <class E>
        requires(!std::convertible_to<const E&, std::exception_ptr>)
    void set_exception(E exception) {
        set_exception(std::make_exception_ptr(std::move(exception)));
    }

private:
    void begin() {
        detail::check_promise(cell_.get());
        if (completed_.exchange(true)) detail::throw_completed();
    }
    template <class Make>
    void complete(const Make& make) {
        begin();
        void* const place = detail::promised_place(*cell_);
        if (place == nullptr) return;  // it was cancelled
        try {
            make(place);
        } catch (...) {
            detail::drop_promised_place(*cell_);
            completed_.store(false);
            throw;
        }
        detail::finish_promised(*cell_);
    }

    detail::CellPtr cell_;
    std::atomic<bool> completed_{false};
};

}  // namespace mobula
