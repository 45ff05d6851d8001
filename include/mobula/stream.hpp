// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <utility>

#include <mobula/object.hpp>

namespace mobula {

/// The objects that a Generator task or method makes, in their order, each as soon as it exists. A
/// stream does not travel, its items do. Dropping a stream cancels its task. Thread-bound to the
/// task that reads it.
template <class T>
class [[nodiscard]] Stream {
public:
    explicit Stream(detail::CellPtr cell) noexcept : cell_(std::move(cell)) {}
    Stream(Stream&&) noexcept = default;
    Stream& operator=(Stream&& other) noexcept {
        Stream old(std::move(other));  // drops what this one was
        std::swap(cell_, old.cell_);
        return *this;
    }
    ~Stream() {
        if (cell_) detail::cancel(*cell_, true);
    }

    /// Waits for the next item's object; empty at the end. Throws the task's failure, Timeout, or
    /// BadInput for a stream that was moved from.
    [[nodiscard]] std::optional<Ref<T>> next(TimeLimit timeout = {}) {
        if (!cell_) throw BadInput("next: the Stream was moved from and names nothing");
        detail::CellPtr item = detail::next_item(*cell_, timeout.deadline());
        if (!item) return std::nullopt;
        return Ref<T>(std::move(item));
    }

    class Iterator {
    public:
        Iterator() = default;
        explicit Iterator(Stream* stream) : stream_(stream) { ++*this; }
        const Ref<T>& operator*() const noexcept { return *item_; }
        Iterator& operator++() {
            item_ = stream_->next();
            return *this;
        }
        bool operator==(const Iterator& other) const noexcept {
            return item_.has_value() == other.item_.has_value();
        }

    private:
        Stream* stream_ = nullptr;
        std::optional<Ref<T>> item_;
    };
    [[nodiscard]] Iterator begin() { return Iterator(this); }
    [[nodiscard]] Iterator end() { return {}; }

private:
    detail::CellPtr cell_;
};

namespace detail {
template <class T>
inline constexpr bool never = false;
}  // namespace detail

/// Exists for its sentence only: a stream has no value to get.
template <class T>
void get(const Stream<T>&, TimeLimit = {}) {
    static_assert(detail::never<T>,
                  "mobula: get(stream): a stream is many objects; take each by next() or in a loop "
                  "over the stream, and get that one");
}

}  // namespace mobula
