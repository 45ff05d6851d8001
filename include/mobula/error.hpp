// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace mobula {

/// Base of everything the engine throws at its user.
class Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A task or actor method threw. `what()` is one sentence with the message, the function, the rank
/// and the chain of tasks the failure passed through; the members give the same in parts.
class TaskError : public Error {
public:
    TaskError(const std::string& sentence, std::string message, std::string function, unsigned rank,
              std::vector<std::string> chain)
        : Error(sentence),
          message_(std::move(message)),
          function_(std::move(function)),
          chain_(std::move(chain)),
          rank_(rank) {}

    /// What the user's exception said.
    [[nodiscard]] const std::string& message() const noexcept { return message_; }
    /// The function or method that threw.
    [[nodiscard]] const std::string& function() const noexcept { return function_; }
    /// Functions that got the failure instead of a value, the nearest to the reader last.
    [[nodiscard]] const std::vector<std::string>& chain() const noexcept { return chain_; }
    /// The rank on which it threw.
    [[nodiscard]] unsigned rank() const noexcept { return rank_; }

private:
    std::string message_, function_;
    std::vector<std::string> chain_;
    unsigned rank_;
};

/// The rank that ran the task died, and the task's retries are used up.
class TaskCrashed : public Error {
public:
    using Error::Error;
};

/// The actor was killed, its constructor threw, or its rank died.
class ActorDied : public Error {
public:
    using Error::Error;
};

/// The rank that owned the object is gone, and with it what is known of the object.
class OwnerDied : public Error {
public:
    using Error::Error;
};

/// The object store has no room for the object.
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

/// A get() with a time limit ran out of it; the object may still become ready later.
class Timeout : public Error {
public:
    using Error::Error;
};

/// An option, variable or file that the user gave is wrong; ends run() with exit code 2.
class BadInput : public Error {
public:
    using Error::Error;
};

}  // namespace mobula
