// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "graph/object.hpp"

/// Objects that no task makes: a Promise completes them by hand. Until it does, or the object is
/// cancelled, a task that never runs stands for their producer. The thread that claims such an
/// object is the only one to complete or to fail it. Thread-safe.
namespace mobula::graph {

/// A pending one with one reference.
[[nodiscard]] Object* new_promised(const TypeInfo& type);
/// Whether it is one that no thread has claimed. The lock is held.
[[nodiscard]] bool is_promised(const Object& object) noexcept;
/// False where it is none, or was claimed before.
[[nodiscard]] bool claim_promised(Object& object) noexcept;
/// Gives the claim back.
void unclaim_promised(Object& object) noexcept;

}  // namespace mobula::graph
