// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <deque>

namespace mobula {

/// A buffer that is empty at first and keeps its memory for the next one of its thread. There are
/// as many as live at once, as a stack: code that runs while one is filled may fill another.
/// `Buffer` has clear(). Thread-bound.
template <class Buffer>
class Scratch {
public:
    Scratch() : buffer_(take()) {}
    ~Scratch() {
        buffer_.clear();
        --kept().used;
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    [[nodiscard]] Buffer& operator*() const noexcept { return buffer_; }
    [[nodiscard]] Buffer* operator->() const noexcept { return &buffer_; }

private:
    struct Kept {
        std::deque<Buffer> all;
        std::size_t used = 0;
    };
    static Kept& kept() {
        thread_local Kept buffers;
        return buffers;
    }
    static Buffer& take() {
        Kept& own = kept();
        if (own.used == own.all.size()) own.all.emplace_back();
        return own.all[own.used++];
    }

    Buffer& buffer_;
};

}  // namespace mobula
