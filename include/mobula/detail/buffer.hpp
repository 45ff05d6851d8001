// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace mobula::detail {

/// The head of one block of bytes, counted by the Buffers that share it.
struct BufferHead {
    std::atomic<std::uint32_t> references{1};
    std::byte* data = nullptr;
    std::size_t bytes = 0;
    bool lent = false;  ///< the bytes are another rank's, and can only be read
    /// Frees the block and this head.
    void (*dispose)(BufferHead*) noexcept = nullptr;
};

/// A shared block of bytes: in the rank's arena, in a mapped peer's arena or on the heap. Copies
/// share the block; the last one frees it or lets its object go. Reentrant, the block itself may
/// be shared between threads.
class Buffer {
public:
    Buffer() = default;
    /// Takes over the one reference that the head was made with.
    explicit Buffer(BufferHead* head) noexcept : head_(head) {}
    Buffer(const Buffer& other) noexcept : head_(other.head_) {
        if (head_ != nullptr) head_->references.fetch_add(1, std::memory_order_relaxed);
    }
    Buffer(Buffer&& other) noexcept : head_(std::exchange(other.head_, nullptr)) {}
    Buffer& operator=(Buffer other) noexcept {
        std::swap(head_, other.head_);
        return *this;
    }
    ~Buffer() {
        if (head_ != nullptr && head_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            head_->dispose(head_);
        }
    }

    [[nodiscard]] std::byte* data() const noexcept { return head_ ? head_->data : nullptr; }
    [[nodiscard]] std::size_t size() const noexcept { return head_ ? head_->bytes : 0; }
    explicit operator bool() const noexcept { return head_ != nullptr; }
    /// Whether this buffer is the block's only holder.
    [[nodiscard]] bool writable() const noexcept {
        return head_ != nullptr && !head_->lent &&
               head_->references.load(std::memory_order_acquire) == 1;
    }

private:
    BufferHead* head_ = nullptr;
};

/// A fresh block, 64-byte aligned and not initialised: in the rank's arena when the engine runs
/// and the block is large enough for that to pay, else on the heap. Throws StoreFull.
[[nodiscard]] Buffer allocate_buffer(std::size_t bytes);

}  // namespace mobula::detail
