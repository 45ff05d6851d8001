// SPDX-License-Identifier: Apache-2.0
#include "runtime/failures.hpp"

#include <memory>

namespace mobula::runtime {

FailurePtr failure_of_caught(const detail::Task& task, Rank self, graph::Doing doing) {
    return graph::failure_from_current_exception(graph::name_of(task),
                                                 static_cast<std::uint32_t>(index(self)), doing);
}

FailurePtr failure_of_cancelled(const detail::Task& task, Rank self) {
    auto failure = std::make_shared<graph::Failure>();
    failure->kind = graph::FailureKind::cancelled;
    failure->function = graph::name_of(task);
    failure->rank = static_cast<std::uint32_t>(index(self));
    failure->message = failure->function + " was cancelled";
    return failure;
}

FailurePtr failure_of_cancelled_promise(Rank self) {
    auto failure = std::make_shared<graph::Failure>();
    failure->kind = graph::FailureKind::cancelled;
    failure->rank = static_cast<std::uint32_t>(index(self));
    failure->message = "the object of a Promise was cancelled";
    return failure;
}

}  // namespace mobula::runtime
