// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace mobula {

namespace graph {
struct Failure;
}  // namespace graph

/// Base of all exceptions of the engine.
class Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A task or an actor's method threw. `what()` is one sentence with the exception's type and text,
/// the exceptions nested in it, the function, the rank and the chain of tasks that the failure
/// passed through; the members give the same in parts. A failure to encode or decode is such an
/// error too, and the sentence says so. An exception of a type that mobula::travels names is caught
/// as itself as well. Reentrant; copies share the parts.
class TaskError : public Error {
public:
    /// For the engine.
    explicit TaskError(std::shared_ptr<const graph::Failure> failure);

    /// The text of the user's exception: its what(), or the string or number that was thrown; the
    /// type's name where the exception has no text.
    [[nodiscard]] const std::string& message() const noexcept;
    /// The type of the thrown value, such as "std::out_of_range", "app::Diverged", "const char*".
    [[nodiscard]] const std::string& type() const noexcept;
    /// The exceptions that it was thrown from by std::throw_with_nested, the outermost first, each
    /// as "type: text".
    [[nodiscard]] const std::vector<std::string>& causes() const noexcept;
    /// The function or method that threw; empty for an object that could not be encoded or decoded.
    [[nodiscard]] const std::string& function() const noexcept;
    /// Functions that got the failure instead of a value, the nearest to the reader last.
    [[nodiscard]] const std::vector<std::string>& chain() const noexcept;
    /// The rank on which it threw.
    [[nodiscard]] unsigned rank() const noexcept;
    /// The exception itself on the rank where it was thrown; null on every other rank. Where the
    /// task runs is the engine's choice, so that a program can show this but not depend on it.
    [[nodiscard]] std::exception_ptr cause() const noexcept;
    /// For the engine.
    [[nodiscard]] const std::shared_ptr<const graph::Failure>& failure() const noexcept {
        return failure_;
    }

private:
    std::shared_ptr<const graph::Failure> failure_;
};

/// The rank that ran the task died. Not thrown yet: the death of a rank ends the job.
class TaskCrashed : public Error {
public:
    using Error::Error;
};

/// The actor was killed, its constructor threw, or its rank died.
class ActorDied : public Error {
public:
    using Error::Error;
};

/// The object's bytes could not be fetched from the rank that keeps them.
class OwnerDied : public Error {
public:
    using Error::Error;
};

/// The Promise of the object was destroyed before it was completed.
class BrokenPromise : public Error {
public:
    using Error::Error;
};

/// The object store has no room for the object. Out of a task the sentence names the task.
class StoreFull : public Error {
public:
    using Error::Error;
};

/// No rank of this job can ever satisfy the request.
class Infeasible : public Error {
public:
    using Error::Error;
};

/// The task was cancelled; thrown at get(), and inside a cancelled task where it waits.
class Cancelled : public Error {
public:
    using Error::Error;
};

/// The time limit of a wait is over; the object may still become ready later.
class Timeout : public Error {
public:
    using Error::Error;
};

/// An option, variable, argument or file is wrong; ends run() with exit code 2.
class BadInput : public Error {
public:
    using Error::Error;
};

}  // namespace mobula
