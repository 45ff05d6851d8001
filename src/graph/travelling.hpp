// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "graph/failure.hpp"

namespace mobula::graph {

/// The name of the type of the exception that is being handled, for people.
[[nodiscard]] std::string type_of_current_exception();

/// Where the exception that is being handled is of a type that mobula::travels named: notes the
/// type's number and the encoded exception in the failure. Runs the user's code. One that cannot be
/// encoded stays what every other exception is, and the message says so.
void encode_travelling(Failure& failure);

/// Throws the exception that travelled, so that it is caught as itself and as a TaskError. Runs the
/// user's code. Returns where it cannot be made, or no type has the number.
void throw_travelled(const FailurePtr& failure);

/// The names of the types that travel in the order of their numbers, which begin with 1: the same
/// on all ranks of one build. Not before main.
[[nodiscard]] std::vector<const char*> travelling_types();

}  // namespace mobula::graph
