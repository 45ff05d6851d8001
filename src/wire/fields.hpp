// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <mobula/error.hpp>

#include "base/ids.hpp"
#include "wire/record.hpp"

/// How the messages of wire/messages.hpp become bytes and come out of them: each names its fields
/// once, in `fields()`, to one of these visitors.
namespace mobula::wire {

/// Of another message's encoding: its size u32, then its bytes.
using Bytes = std::span<const std::byte>;

/// The ranks that a record may name, and when each was started. Immutable.
class Roster {
public:
    explicit Roster(std::vector<Incarnation> incarnations)
        : incarnations_(std::move(incarnations)) {}

    [[nodiscard]] std::size_t ranks() const noexcept { return incarnations_.size(); }
    [[nodiscard]] Incarnation incarnation(Rank rank) const { return incarnations_.at(index(rank)); }

    /// Throws Error on a rank that does not exist.
    void check(Rank rank) const {
        if (index(rank) >= ranks()) throw Error("a record names a rank that does not exist");
    }
    /// The same for the name of an object; serial 0 names none.
    void check(const ObjectId& id) const {
        if (index(id.owner) >= ranks()) {
            throw Error("a record names an object of a rank that does not exist");
        }
        if (id.serial != 0 && id.incarnation != incarnations_[index(id.owner)]) {
            throw Error("a record names an object of an earlier start of its rank");
        }
    }

private:
    std::vector<Incarnation> incarnations_;
};

template <class T>
concept HasFields = requires(T& value, int& visitor) { T::fields(value, visitor); };

template <class T>
inline constexpr bool is_list = false;
template <class T>
inline constexpr bool is_list<std::vector<T>> = true;

/// Appends a message's fields to a record.
class FieldWriter {
public:
    explicit FieldWriter(RecordWriter& record) : record_(record) {}

    template <class T>
    FieldWriter& operator()(std::string_view, const T& field) {
        if constexpr (std::is_same_v<T, std::string_view>) {
            record_.text(field);
        } else if constexpr (std::is_same_v<T, Bytes>) {
            record_.put(static_cast<std::uint32_t>(field.size()));
            record_.bytes(field.data(), field.size());
        } else if constexpr (is_list<T>) {
            record_.put(static_cast<std::uint32_t>(field.size()));
            for (const auto& one : field) (*this)({}, one);
        } else if constexpr (HasFields<T>) {
            T::fields(field, *this);
        } else {
            record_.put(field);
        }
        return *this;
    }
    template <class T>
    FieldWriter& choice(std::string_view name, const T& field, T) {
        return (*this)(name, field);
    }
    template <class T>
    FieldWriter& chosen(const T&, T) {
        return *this;
    }
    void tail(std::string_view) {}

private:
    RecordWriter& record_;
};

/// Takes them out of it. What does not fit throws Error; nothing is trusted.
class FieldReader {
public:
    FieldReader(RecordReader& record, const Roster& roster) : record_(record), roster_(roster) {}

    /// One field; texts and bytes stay where they are, in the record.
    template <class T>
    FieldReader& operator()(std::string_view, T& field) {
        if constexpr (std::is_same_v<T, std::string_view>) {
            field = record_.text();
        } else if constexpr (std::is_same_v<T, Bytes>) {
            field = record_.bytes(record_.count(1));
        } else if constexpr (is_list<T>) {
            field.resize(record_.count(sizeof(typename T::value_type)));
            for (auto& one : field) (*this)({}, one);
        } else if constexpr (HasFields<T>) {
            T::fields(field, *this);
        } else {
            field = record_.get<T>();
            if constexpr (std::is_same_v<T, Rank> || std::is_same_v<T, ObjectId>) {
                roster_.check(field);
            }
        }
        return *this;
    }
    /// One that says which others follow; `last` is its greatest value.
    template <class T>
    FieldReader& choice(std::string_view name, T& field, T last) {
        return (*this)(name, field).chosen(field, last);
    }
    /// The same where it came as a part of a field.
    template <class T>
    FieldReader& chosen(const T& field, T last) {
        if (field > last) throw Error("a record says something in no known form");
        return *this;
    }
    /// What follows is read by another codec.
    void tail(std::string_view) { open_ = true; }
    [[nodiscard]] bool open() const noexcept { return open_; }

private:
    RecordReader& record_;
    const Roster& roster_;
    bool open_ = false;
};

/// The rest of a record whose kind was read. Throws Error where it is shorter or longer than the
/// message; behind one with a tail `record` stands at the tail.
template <class Message>
[[nodiscard]] Message read(RecordReader& record, const Roster& roster) {
    Message message{};
    FieldReader fields(record, roster);
    Message::fields(message, fields);
    if (!fields.open() && !record.rest().empty()) throw Error("a record has bytes too many");
    return message;
}

/// A part of a message, such as a Reference, from where `record` stands.
template <class Part>
[[nodiscard]] Part read_part(RecordReader& record, const Roster& roster) {
    Part part{};
    FieldReader fields(record, roster);
    Part::fields(part, fields);
    return part;
}

/// Appends a part of a message to a record.
template <class Part>
void write(const Part& part, RecordWriter& record) {
    FieldWriter fields(record);
    Part::fields(part, fields);
}

/// Begins an empty record with the message; a tail may be appended.
template <class Message>
void begin(const Message& message, RecordWriter& record) {
    record.put(Message::kind);
    write(message, record);
}

/// A record that was begun so.
template <class Message>
class Written final : public RecordWriter {
public:
    explicit Written(const Message& message) { begin(message, *this); }
};

}  // namespace mobula::wire
