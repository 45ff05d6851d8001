// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <mobula/archive.hpp>
#include <mobula/detail/engine.hpp>
#include <mobula/time_limit.hpp>

namespace mobula {

/// A future: names an object that exists or will exist, on any rank. Copies name the same object,
/// which lives as long as any rank holds a Ref or a view of it. As an argument for a parameter T
/// the Ref is a dependency, for a parameter Ref<T> it travels as it is. Many in a row are such a
/// dependency for a parameter that is a vector or a span of T; see remote(). A task makes the
/// value, put() does, or a Promise<T>. Reentrant.
template <class T>
class Ref {
public:
    using value_type = T;

    Ref() = default;
    explicit Ref(detail::CellPtr cell) noexcept : cell_(std::move(cell)) {}

    /// False for a default-made Ref, which names nothing and may only be assigned to.
    [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(cell_); }
    /// Whether get() would answer without waiting for a task. Never blocks.
    [[nodiscard]] bool done() const noexcept { return valid() && detail::is_done(*cell_); }
    /// For the engine's own templates.
    [[nodiscard]] const detail::CellPtr& cell() const noexcept { return cell_; }

    void save(OutputArchive& archive) const {
        archive.writer().raw(static_cast<std::uint8_t>(valid()));
        if (valid()) archive.writer().reference(cell_);
    }
    void load(InputArchive& archive) {
        const bool given = archive.reader().raw<std::uint8_t>() != 0;
        cell_ = given ? archive.reader().reference() : detail::CellPtr();
    }

private:
    detail::CellPtr cell_;
};

namespace detail {

/// Stands for what cannot be, after the compiler said why: it turns into whatever it is used as, so
/// that no second error follows.
struct Refused {
    template <class T>
    operator T() const;  // NOLINT(google-explicit-constructor)
    [[nodiscard]] bool valid() const noexcept { return false; }
    [[nodiscard]] bool done() const noexcept { return false; }
    Refused operator*() const noexcept { return {}; }
};

/// The type under which a result of type T is stored.
template <class T>
using Stored = std::conditional_t<std::is_void_v<T>, Nothing, T>;

void wait_or_throw(std::span<Cell* const> cells, Deadline deadline);

/// The value in its place, for reading.
template <class T>
[[nodiscard]] const T* seen_value(Cell& cell) {
    const auto* value = static_cast<const T*>(cell_value(cell, type_info<T>));
    // Only values that cannot be copied are moved out of an object while other Refs name it.
    if constexpr (!copyable<T>) refuse_moved_out(cell);
    return value;
}

template <class T>
[[nodiscard]] T take_value(Cell& cell) {
    auto* value = static_cast<Stored<T>*>(cell_value(cell, type_info<Stored<T>>));
    if constexpr (std::is_void_v<T>) {
        return;
    } else if constexpr (copyable<T>) {
        return *value;
    } else {
        note_moved_out(cell);
        return std::move(*value);
    }
}

}  // namespace detail

/// Read access to an object's value without a copy; keeps the object pinned while it lives.
template <class T>
class View {
public:
    View(detail::CellPtr cell, const T* value) noexcept : cell_(std::move(cell)), value_(value) {}
    [[nodiscard]] const T& operator*() const noexcept { return *value_; }
    [[nodiscard]] const T* operator->() const noexcept { return value_; }

private:
    detail::CellPtr cell_;
    const T* value_;
};

/// Makes the value an object with this rank as its owner. Arrays are not copied.
template <class T>
auto put(T&& value) {
    using V = std::remove_cvref_t<T>;
    static_assert(Value<V> || !detail::check_no_promise<V>(),
                  "mobula: put(value): the type cannot travel between ranks; it and what it holds "
                  "must be trivially copyable without addresses, also among the members of a "
                  "struct, a standard container or have a cereal serialize and a default "
                  "constructor; mobula::vouched<T> vouches for a struct with addresses");
    if constexpr (Value<V>) {
        void* place = nullptr;
        detail::CellPtr cell = detail::new_object(detail::type_info<V>, place);
        new (place) V(std::forward<T>(value));
        detail::finish_object(*cell);
        return Ref<V>(std::move(cell));
    } else {
        return detail::Refused();
    }
}

/// Waits for the object and returns a copy of its value (an Array shares its bytes). The value of a
/// move-only type is moved out: one get, or one task with a parameter by value, takes it; a second
/// one on the same rank throws Error. Waiting suspends the calling task, never its worker: the task
/// resumes on that worker when whatever runs there finishes or waits. Throws TaskError
/// (also as the exception type itself that travels<T>() named), Cancelled, ActorDied, OwnerDied,
/// Timeout after `timeout`, or BadInput for a Ref that names nothing.
///
/// A `timeout`, here and in all that takes one, is kept to within a few milliseconds as far as the
/// worker is free then: a worker on which a wait has less than 10 s left leaves ready tasks and
/// calls to the rank's other workers. It begins one all the same, and the wait may be as late as
/// that one is long, where the rank has no other worker, where the waits on all others end sooner,
/// and where the others have begun nothing for 0.1 s while something is ready. With
/// MOBULA_DRIVER_ALONE the driver has a worker on which nothing else runs.
template <class T>
T get(const Ref<T>& ref, TimeLimit timeout = {}) {
    detail::Cell* const cell = ref.cell().get();
    detail::wait_or_throw(std::span(&cell, 1), timeout.deadline());
    return detail::take_value<T>(*cell);
}

/// There only so that no second error follows a sentence.
inline detail::Refused get(const detail::Refused& refused, TimeLimit = {}) { return refused; }
inline detail::Refused view(const detail::Refused& refused, TimeLimit = {}) { return refused; }

/// As get(), without a copy. Throws Error where a value was moved out.
template <class T>
    requires(!std::is_void_v<T>)
View<T> view(const Ref<T>& ref, TimeLimit timeout = {}) {
    detail::Cell* const cell = ref.cell().get();
    detail::wait_or_throw(std::span(&cell, 1), timeout.deadline());
    return View<T>(ref.cell(), detail::seen_value<T>(*cell));
}

namespace detail {

template <class T>
std::vector<Cell*> cells_of(std::span<const Ref<T>> refs) {
    std::vector<Cell*> cells(refs.size());
    for (std::size_t i = 0; i < refs.size(); ++i) cells[i] = refs[i].cell().get();
    return cells;
}

/// The same where they lie: a Ref is the address of its object and nothing else.
template <class T>
std::span<Cell* const> cells_in(std::span<const Ref<T>> refs) {
    static_assert(std::is_standard_layout_v<Ref<T>> && sizeof(Ref<T>) == sizeof(Cell*));
    return {reinterpret_cast<Cell* const*>(refs.data()), refs.size()};
}

}  // namespace detail

/// The values of many, in the order of the refs; waits for all at once. For Ref<void>: waits.
template <class T>
auto get(std::span<const Ref<T>> refs, TimeLimit timeout = {}) {
    const std::vector<detail::Cell*> cells = detail::cells_of(refs);
    detail::wait_or_throw(cells, timeout.deadline());
    if constexpr (std::is_void_v<T>) {
        for (detail::Cell* cell : cells) detail::take_value<void>(*cell);
    } else {
        std::vector<T> values;
        values.reserve(cells.size());
        for (detail::Cell* cell : cells) values.push_back(detail::take_value<T>(*cell));
        return values;
    }
}

template <class T>
auto get(const std::vector<Ref<T>>& refs, TimeLimit timeout = {}) {
    return mobula::get(std::span<const Ref<T>>(refs), timeout);
}

/// The values of several refs of different types (none of them void).
template <class... T>
std::tuple<T...> get(const std::tuple<Ref<T>...>& refs, TimeLimit timeout = {}) {
    return std::apply(
        [&](const Ref<T>&... each) {
            detail::Cell* const cells[] = {each.cell().get()...};
            detail::wait_or_throw(cells, timeout.deadline());
            return std::tuple<T...>{detail::take_value<T>(*each.cell())...};
        },
        refs);
}

/// The result of wait(): positions in its refs.
struct Waited {
    std::vector<std::size_t> done;
    std::vector<std::size_t> pending;
};

/// Waits until at least `count` of the refs are done (ready or failed) or the time is over; never
/// throws for a failed one. With `count` larger than the number of refs: all of them.
template <class T>
Waited wait(std::span<const Ref<T>> refs, std::size_t count = 1, TimeLimit timeout = {}) {
    const std::vector<detail::Cell*> cells = detail::cells_of(refs);
    detail::wait_for(cells, std::min(count, cells.size()), timeout.deadline(), false);
    Waited result;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        (detail::is_done(*cells[i]) ? result.done : result.pending).push_back(i);
    }
    return result;
}

template <class T>
Waited wait(const std::vector<Ref<T>>& refs, std::size_t count = 1, TimeLimit timeout = {}) {
    return mobula::wait(std::span<const Ref<T>>(refs), count, timeout);
}

/// Returns the positions of the refs one by one, in the order in which the refs become done; each
/// costs the same however many there are. Keeps the objects alive until they are done. Thread-bound
/// to its task.
class Arrivals {
public:
    Arrivals() : queue_(detail::new_arrivals({})) {}
    template <class T>
    explicit Arrivals(const std::vector<Ref<T>>& refs)
        : queue_(detail::new_arrivals(detail::cells_of(std::span<const Ref<T>>(refs)))) {}

    /// Adds a ref to wait for, also after next() was empty. Returns its number, under which next()
    /// returns it: the lowest number not in use, or one that next() has returned.
    template <class T>
    std::size_t add(const Ref<T>& ref) {
        if (!ref.valid()) throw BadInput("Arrivals::add: a Ref that names nothing");
        return detail::add_arrival(queue(), *ref.cell());
    }

    /// Waits for the next one. Empty after the last one, or at the time limit.
    [[nodiscard]] std::optional<std::size_t> next(TimeLimit timeout = {}) {
        return detail::next_arrival(queue(), timeout.deadline());
    }

    class Iterator {
    public:
        explicit Iterator(Arrivals* arrivals) : arrivals_(arrivals) { ++*this; }
        Iterator() = default;
        std::size_t operator*() const noexcept { return *position_; }
        Iterator& operator++() {
            position_ = arrivals_->next();
            return *this;
        }
        bool operator==(const Iterator& other) const noexcept {
            return position_.has_value() == other.position_.has_value();
        }

    private:
        Arrivals* arrivals_ = nullptr;
        std::optional<std::size_t> position_;
    };
    [[nodiscard]] Iterator begin() { return Iterator(this); }
    [[nodiscard]] Iterator end() { return {}; }

private:
    [[nodiscard]] detail::ArrivalQueue& queue() const {
        if (!queue_) throw BadInput("Arrivals: this one was moved from");
        return *queue_;
    }
    struct Drop {
        void operator()(detail::ArrivalQueue* queue) const noexcept {
            detail::drop_arrivals(queue);
        }
    };
    std::unique_ptr<detail::ArrivalQueue, Drop> queue_;
};

/// `for (std::size_t i : as_completed(refs)) use(get(refs[i]));`
template <class T>
[[nodiscard]] Arrivals as_completed(const std::vector<Ref<T>>& refs) {
    return Arrivals(refs);
}

/// The position of a ref that is done; waits for the first. A loop that takes out the refs that it
/// is given one by one, by erase() or with the last ref in the place of the one taken out, or that
/// adds refs, pays about the same per result however many refs there are; only a call that has to
/// wait looks through all of them, some 0.5 ns each. Throws Timeout, or BadInput for no refs.
template <class T>
std::size_t when_any(const std::vector<Ref<T>>& refs, TimeLimit timeout = {}) {
    if (refs.empty()) throw BadInput("when_any: there are no objects to wait for");
    const std::optional<std::size_t> which =
        detail::wait_for_any(detail::cells_in(std::span<const Ref<T>>(refs)), timeout.deadline());
    if (!which) throw Timeout("when_any: none of the objects became ready in time");
    return *which;
}

/// Cancels the task that makes the object, with `recursive` the tasks that it submitted too. One
/// that has not begun never does, and `get` throws Cancelled; in a running one mobula::cancelled()
/// turns true, its next wait throws Cancelled, and what it returns all the same is its value. The
/// object of a Promise fails with Cancelled at once.
template <class T>
void cancel(const Ref<T>& ref, bool recursive = true) {
    if (ref.valid()) detail::cancel(*ref.cell(), recursive);
}

}  // namespace mobula
