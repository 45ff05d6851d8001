// SPDX-License-Identifier: Apache-2.0
#pragma once

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
};

/// Why an object will never have a value. Immutable and shared by all that it reaches.
struct Failure {
    FailureKind kind = FailureKind::task_error;
    std::string message;             ///< what the user's exception said, or the reason
    std::string function;            ///< who failed
    std::uint32_t rank = 0;          ///< where
    std::vector<std::string> chain;  ///< who got the failure instead of an input

    /// All of it in one sentence.
    [[nodiscard]] std::string sentence() const;
    /// Throws the exception of include/mobula/error.hpp that belongs to the kind.
    [[noreturn]] void raise() const;

    void encode(detail::Writer& writer) const;
    /// Throws Error on what is no encoded failure.
    [[nodiscard]] static Failure decode(detail::Reader& reader);
};

using FailurePtr = std::shared_ptr<const Failure>;

/// The failure of a task whose function threw what is being handled: to be called in a handler.
[[nodiscard]] FailurePtr failure_from_current_exception(const std::string& function,
                                                        std::uint32_t rank);

/// The failure of a task that waited for an object which failed.
[[nodiscard]] FailurePtr failure_passed_on(const Failure& failure, const std::string& function);

}  // namespace mobula::graph
