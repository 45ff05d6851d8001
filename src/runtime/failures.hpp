// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/ids.hpp"
#include "graph/failure.hpp"
#include "graph/task.hpp"

namespace mobula::runtime {

using graph::FailurePtr;

/// The failure of a task by the exception that is being handled on this rank.
[[nodiscard]] FailurePtr failure_of_caught(const detail::Task& task, Rank self,
                                           graph::Doing doing = graph::Doing::running);
/// The failure of a task that was cancelled.
[[nodiscard]] FailurePtr failure_of_cancelled(const detail::Task& task, Rank self);
/// The same of an object that a Promise completes.
[[nodiscard]] FailurePtr failure_of_cancelled_promise(Rank self);

}  // namespace mobula::runtime
