// SPDX-License-Identifier: Apache-2.0
#include "graph/promised.hpp"

#include <mutex>

#include "graph/task.hpp"

namespace mobula::graph {

static constinit Task by_hand;

Object* new_promised(const TypeInfo& type) {
    Object* const object = new_object(1);
    object->type = &type;
    object->producer = &by_hand;
    return object;
}

bool is_promised(const Object& object) noexcept { return object.producer == &by_hand; }

bool claim_promised(Object& object) noexcept {
    std::lock_guard guard(object.lock);
    if (!is_promised(object)) return false;
    object.producer = nullptr;
    return true;
}

void unclaim_promised(Object& object) noexcept {
    std::lock_guard guard(object.lock);
    object.producer = &by_hand;
}

}  // namespace mobula::graph
