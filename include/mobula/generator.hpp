// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

namespace mobula {

/// The return type of a task or method that makes a stream of objects: a coroutine with
/// `co_yield item`. Each item can be consumed while the task goes on; the task waits when its
/// consumer is TaskOptions::stream_window items behind (a method: 16). Thread-bound.
///
///     mobula::Generator<int> count(int n) { for (int i = 0; i < n; ++i) co_yield i; }
///     for (mobula::Ref<int> item : mobula::remote<count>(10)) use(mobula::get(item));
template <class T>
class [[nodiscard]] Generator {
public:
    struct promise_type {
        std::optional<T> item;
        std::exception_ptr error;

        Generator get_return_object() {
            return Generator(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        std::suspend_always yield_value(T value) {
            item.emplace(std::move(value));
            return {};
        }
        void return_void() noexcept {}
        void unhandled_exception() noexcept { error = std::current_exception(); }
    };

    Generator(Generator&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
    Generator& operator=(Generator&&) = delete;
    ~Generator() {
        if (coroutine_) coroutine_.destroy();
    }

    /// Runs to the next item; empty at the end. Passes on an exception of the coroutine, once.
    [[nodiscard]] std::optional<T> next() {
        if (!coroutine_ || coroutine_.done()) return std::nullopt;
        coroutine_.promise().item.reset();
        coroutine_.resume();
        if (coroutine_.promise().error) std::rethrow_exception(coroutine_.promise().error);
        if (coroutine_.done()) return std::nullopt;
        return std::move(coroutine_.promise().item);
    }

private:
    explicit Generator(std::coroutine_handle<promise_type> coroutine) : coroutine_(coroutine) {}
    std::coroutine_handle<promise_type> coroutine_;
};

}  // namespace mobula
