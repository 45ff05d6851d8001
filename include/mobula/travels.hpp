// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Exception types that a task throws and the reader of its result catches as themselves, wherever
/// the task ran.

#include <concepts>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <mobula/archive.hpp>
#include <mobula/error.hpp>

namespace mobula {
namespace detail {

/// An exception type as the engine knows it once it is erased. One per type, for the whole life of
/// the process.
struct ExceptionInfo {
    const std::type_info* type;
    const std::type_info* thrown_type;  ///< of the object that is thrown
    std::size_t thrown_bytes;
    /// Encodes the exception that is being handled, which is of the type.
    void (*encode)(Writer& writer);
    /// Constructs the object to be thrown: an exception of that text, and the TaskError.
    void (*make)(void* place, Reader& reader, const std::string& text, const TaskError& error);
    void (*destroy)(void* thrown);
    void* (*as_itself)(void* thrown) noexcept;
    void* (*as_task_error)(void* thrown) noexcept;
};

/// Adds the type to the table that all ranks of one build have alike. Called before main.
void register_exception(const ExceptionInfo& info);

template <class T>
concept Exception = std::derived_from<T, std::exception>;

/// Whether the type's own part goes to other ranks as a value does.
template <class T>
concept HasForm = Plain<T> || ThroughCereal<T>;

/// Whether a T has no members but those of the standard's class that it derives from, so that its
/// text is all of it.
template <class T>
concept OnlyText =
    (std::derived_from<T, std::runtime_error> && sizeof(T) == sizeof(std::runtime_error)) ||
    (std::derived_from<T, std::logic_error> && sizeof(T) == sizeof(std::logic_error)) ||
    (Exception<T> && sizeof(T) == sizeof(std::exception));

template <class T>
concept MadeOfText = Exception<T> && std::constructible_from<T, const std::string&>;

/// A T that says what it said where it was thrown.
template <class T>
struct Itself : T {
    Itself(T&& value, const std::string&) : T(std::move(value)) {}
};
template <Exception T>
struct Itself<T> : T {
    Itself(T&& value, std::string said) : T(std::move(value)), text(std::move(said)) {}
    [[nodiscard]] const char* what() const noexcept override { return text.c_str(); }
    std::string text;
};

/// What is thrown: both in one object. The two may share a base such as std::exception, for which
/// the engine says which is meant; see graph/travelling.cpp.
template <class T>
struct Thrown final : Itself<T>, TaskError {
    Thrown(T&& value, const std::string& text, const TaskError& error)
        : Itself<T>(std::move(value), text), TaskError(error) {}
};

template <class T>
T decode_exception(Reader& reader, const std::string& text) {
    if constexpr (Plain<T> && !Exception<T>) {
        union Room {
            Room() {}
            T value;
        } room;
        reader.bytes(&room, sizeof(T));
        return room.value;
    } else {
        T value = [&]() -> T {
            if constexpr (MadeOfText<T>) {
                return T(text);
            } else {
                return T();
            }
        }();
        if constexpr (HasForm<T>) {
            InputArchive archive(reader);
            archive(value);
        }
        return value;
    }
}

template <class T>
inline constexpr ExceptionInfo exception_info{
    &typeid(T),
    &typeid(Thrown<T>),
    sizeof(Thrown<T>),
    []([[maybe_unused]] Writer& writer) {
        try {
            throw;
        } catch (const T& exception) {
            if constexpr (HasForm<T>) encode(writer, exception);
        }
    },
    [](void* place, Reader& reader, const std::string& text, const TaskError& error) {
        new (place) Thrown<T>(decode_exception<T>(reader, text), text, error);
    },
    [](void* thrown) { static_cast<Thrown<T>*>(thrown)->~Thrown(); },
    [](void* thrown) noexcept -> void* { return static_cast<T*>(static_cast<Thrown<T>*>(thrown)); },
    [](void* thrown) noexcept -> void* {
        return static_cast<TaskError*>(static_cast<Thrown<T>*>(thrown));
    }};

template <class T>
struct RegisteredException {
    static bool enter() {
        register_exception(exception_info<T>);
        return true;
    }
    inline static const bool entered = enter();
};

template <class T>
consteval bool check_travels() {
    constexpr bool is_class = std::is_class_v<T> && !std::is_final_v<T> &&
                              std::same_as<T, std::remove_cvref_t<T>> &&
                              !std::derived_from<T, TaskError>;
    static_assert(is_class,
                  "mobula: travels<T>(): T must be a class that is not final, without const or "
                  "reference, and no TaskError: it is caught as a T and as a TaskError");
    if constexpr (is_class) {
        constexpr bool has_form = HasForm<T> || OnlyText<T>;
        constexpr bool is_made =
            std::is_copy_constructible_v<T> &&
            (std::is_default_constructible_v<T> || MadeOfText<T> || (Plain<T> && !Exception<T>));
        static_assert(has_form,
                      "mobula: travels<T>(): this exception type has members and does not say how "
                      "they travel; give it a cereal serialize");
        static_assert(is_made,
                      "mobula: travels<T>(): this exception type cannot be made on another rank; "
                      "it must be copyable and have a default constructor, or one that takes the "
                      "text as a std::string");
        return has_form && is_made;
    } else {
        return false;
    }
}

}  // namespace detail

/// Names an exception type that travels: a T that a task throws is caught by the reader of its
/// result as a T, with its members and its what(), and as a TaskError, mobula::Error and
/// std::exception, which tell function, rank and chain; on every rank alike, the thrower's own too.
/// To name the type once, anywhere in the program, is enough, also in code that never runs:
///
///     struct Diverged : std::runtime_error {
///         using std::runtime_error::runtime_error;
///         int step = 0;
///         template <class Archive>
///         void serialize(Archive& archive) { archive(step); }
///     };
///     const bool diverged_travels = mobula::travels<Diverged>();
///
/// The members travel by the type's cereal `serialize`; a type that has none of its own beyond
/// std::runtime_error's or std::logic_error's needs none. The type needs a default constructor or
/// one that takes its text; references and Arrays cannot be inside. Only the very type that is
/// thrown counts, and not one that it derives from: name that as well. An exception of a type that
/// is not named is a TaskError everywhere.
template <class T>
bool travels() {
    if constexpr (detail::check_travels<T>()) {
        return detail::RegisteredException<T>::entered;
    } else {
        return false;
    }
}

}  // namespace mobula
