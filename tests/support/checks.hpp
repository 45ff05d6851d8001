// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <mobula/mobula.hpp>

/// Checks for programs that run as jobs. A failed one throws, in the driver as in tasks, and so
/// ends the job with its sentence and exit code 1.
namespace mobula::testing {

/// std::source_location, but for clang 14, which cannot read that of libstdc++ 12.
struct Where {
    const char* file;
    unsigned line;
    static constexpr Where current(const char* file = __builtin_FILE(),
                                   unsigned line = __builtin_LINE()) noexcept {
        return {file, line};
    }
};

[[noreturn]] inline void fail(const std::string& sentence, Where where = Where::current()) {
    const std::string_view path = where.file;
    throw std::runtime_error(std::string(path.substr(path.rfind('/') + 1)) + ":" +
                             std::to_string(where.line) + ": " + sentence);
}

inline void check(bool holds, const std::string& sentence, Where where = Where::current()) {
    if (!holds) fail(sentence, where);
}

template <class T>
std::string text_of(const T& value) {
    if constexpr (std::is_enum_v<T>) {
        return std::to_string(static_cast<long>(value));
    } else if constexpr (std::is_arithmetic_v<T>) {
        return std::to_string(value);
    } else if constexpr (std::is_convertible_v<T, std::string>) {
        return '"' + std::string(value) + '"';
    } else {
        return "a value";
    }
}

template <class A, class B>
void check_equal(const A& got, const B& wanted, const std::string& what,
                 Where where = Where::current()) {
    if (got == wanted) return;
    fail(what + " is " + text_of(got) + " and not " + text_of(wanted), where);
}

/// The text of the Exception that `action` has to throw.
template <class Exception, class Action>
std::string thrown(Action&& action, const std::string& what, Where where = Where::current()) {
    try {
        action();
    } catch (const Exception& exception) {
        return exception.what();
    } catch (const std::exception& other) {
        fail(what + " throws the wrong type, saying: " + other.what(), where);
    }
    fail(what + " throws nothing", where);
}

inline void check_contains(const std::string& text, std::string_view part, const std::string& what,
                           Where where = Where::current()) {
    if (text.find(part) == std::string::npos) {
        fail(what + " does not contain \"" + std::string(part) + "\" but says: " + text, where);
    }
}

/// Lets others run until the condition holds, for at most 20 s.
template <class Condition>
void await(Condition&& holds, const std::string& what, Where where = Where::current()) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!holds()) {
        if (std::chrono::steady_clock::now() > end) fail("in 20 s it never came: " + what, where);
        mobula::yield();
    }
}

/// Keeps a worker's time busy, giving way to others, for that long.
inline void pass_time(std::chrono::nanoseconds duration) {
    const auto end = std::chrono::steady_clock::now() + duration;
    while (std::chrono::steady_clock::now() < end) mobula::yield();
}

/// A task that runs until it is cancelled.
inline int run_until_cancelled() {
    for (;;) mobula::yield();
}

/// Whether tasks of this rank that wait for it may end.
inline std::atomic<bool> opened{false};
inline int wait_until_opened() {
    await([] { return opened.load(); }, "leave to go on");
    return 1;
}

inline TaskOptions on(unsigned rank) { return {.placement = Placement::on_rank(rank)}; }

}  // namespace mobula::testing
