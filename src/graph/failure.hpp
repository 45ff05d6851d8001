// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <vector>

namespace mobula::detail {
class Writer;
class Reader;
}  // namespace mobula::detail

namespace mobula::graph {

enum class FailureKind : std::uint8_t {
    task_error,    ///< the user's code threw
    task_crashed,  ///< its rank died, no retry is left
    actor_died,
    owner_died,
    cancelled,
    store_full,
    infeasible,
    broken_promise,
};

/// What was done when an exception was thrown.
enum class Doing : std::uint8_t {
    running,            ///< the function itself ran
    encoding_argument,  ///< of the function, by the rank that sends the task
    bringing_argument,  ///< to the rank that runs it
    decoding_argument,
    encoding_result,
    encoding_item,    ///< of the stream that the function makes
    encoding_object,  ///< of which the function that made it is not known any more
    decoding_object,
    completing_promise,  ///< by hand, with an exception
};

/// Why an object will never have a value. Immutable and shared by all that it reaches.
struct Failure {
    FailureKind kind = FailureKind::task_error;
    Doing doing = Doing::running;
    std::uint32_t rank = 0;           ///< where
    std::string message;              ///< what the user's exception said, or the reason
    std::string function;             ///< what failed
    std::string type;                 ///< of the user's exception, for people
    std::vector<std::string> causes;  ///< exceptions that are nested in it, the outermost first
    std::vector<std::string> chain;   ///< functions that got the failure instead of an input
    /// The exception itself, where its type is one that travels; see travelling.hpp.
    std::uint32_t travelling = 0;
    std::vector<std::byte> value;
    std::exception_ptr cause;  ///< on the rank where it was thrown only: does not travel

    /// All of it in one sentence.
    [[nodiscard]] std::string sentence() const;
    /// As the function raise(), of a copy.
    [[noreturn]] void raise() const;

    void encode(detail::Writer& writer) const;
    /// Throws Error on what is no encoded failure.
    [[nodiscard]] static Failure decode(detail::Reader& reader);
};

using FailurePtr = std::shared_ptr<const Failure>;

/// Throws the exception of include/mobula/error.hpp that belongs to the kind, or the user's own
/// where that travels. A task that lets it pass has the whole failure again.
[[noreturn]] void raise(const FailurePtr& failure);

/// The failure of a task whose function threw what is being handled: to be called in a handler.
[[nodiscard]] FailurePtr failure_from_current_exception(const std::string& function,
                                                        std::uint32_t rank,
                                                        Doing doing = Doing::running);

/// The failure of a task that waited for an object which failed.
[[nodiscard]] FailurePtr failure_passed_on(const Failure& failure, const std::string& function);

/// What the exception that is being handled says, for people.
struct Described {
    std::string type;
    std::string text;  ///< the type's name where there is none
    std::vector<std::string> causes;
};
[[nodiscard]] Described describe_current_exception();
/// "text; caused by type: text".
[[nodiscard]] std::string text_of(const Described& described);

}  // namespace mobula::graph
