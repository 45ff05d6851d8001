// SPDX-License-Identifier: Apache-2.0
#include "support/small_engine.hpp"

#include <cstdlib>
#include <new>

#include "graph/object.hpp"

namespace mobula::test {
std::atomic<std::uint64_t> objects_disposed{0};
}

namespace mobula::detail {

void dispose_cell(Cell* cell) noexcept {
    test::objects_disposed.fetch_add(1, std::memory_order_relaxed);
    graph::free_object(&graph::Object::of(*cell));
}

Buffer allocate_buffer(std::size_t bytes) {
    auto* head = new BufferHead;
    head->data = static_cast<std::byte*>(std::aligned_alloc(64, (bytes + 64) / 64 * 64));
    head->bytes = bytes;
    head->dispose = [](BufferHead* gone) noexcept {
        std::free(gone->data);
        delete gone;
    };
    if (head->data == nullptr) {
        delete head;
        throw std::bad_alloc();
    }
    return Buffer(head);
}

}  // namespace mobula::detail
