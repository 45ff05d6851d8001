// SPDX-License-Identifier: Apache-2.0
#pragma once

/// How values travel between ranks. Trivially copyable types without a form of their own travel as
/// their bytes. All others go through cereal: standard containers by cereal's headers, user types
/// by their `serialize`, or `save` and `load`, or `save_minimal` and `load_minimal`, as members or
/// functions, with a version or without. A user type that holds a container includes that
/// container's cereal header itself. A type that holds an address, or a part that cannot travel,
/// cannot travel either, as far as the compiler can see its parts. The compiler sees the first 32
/// members of a plain struct (an aggregate); mobula::vouched<T> vouches for their addresses. The
/// author of any other class answers for its members.

#include <cereal/cereal.hpp>
#include <cereal/types/array.hpp>
#include <cereal/types/deque.hpp>
#include <cereal/types/list.hpp>
#include <cereal/types/map.hpp>
#include <cereal/types/memory.hpp>
#include <cereal/types/optional.hpp>
#include <cereal/types/set.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/tuple.hpp>
#include <cereal/types/unordered_map.hpp>
#include <cereal/types/unordered_set.hpp>
#include <cereal/types/utility.hpp>
#include <cereal/types/variant.hpp>
#include <cereal/types/vector.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <mobula/detail/members.hpp>
#include <mobula/detail/stream.hpp>
#include <mobula/detail/type_info.hpp>

namespace mobula {

/// The cereal archive that encodes; a user type's `serialize` gets it as its Archive.
class OutputArchive : public cereal::OutputArchive<OutputArchive, cereal::AllowEmptyClassElision> {
public:
    explicit OutputArchive(detail::Writer& writer)
        : cereal::OutputArchive<OutputArchive, cereal::AllowEmptyClassElision>(this),
          writer_(&writer) {}
    [[nodiscard]] detail::Writer& writer() noexcept { return *writer_; }

private:
    detail::Writer* writer_;
};

/// The cereal archive that decodes.
class InputArchive : public cereal::InputArchive<InputArchive, cereal::AllowEmptyClassElision> {
public:
    explicit InputArchive(detail::Reader& reader)
        : cereal::InputArchive<InputArchive, cereal::AllowEmptyClassElision>(this),
          reader_(&reader) {}
    [[nodiscard]] detail::Reader& reader() noexcept { return *reader_; }

    /// The next length is that of elements which may travel as nothing and take so many bytes in
    /// memory.
    void expect_elements(std::size_t element_bytes) noexcept { element_bytes_ = element_bytes; }
    /// Throws Error for a number of elements that the rest of the stream cannot hold. Those that
    /// travel as nothing have 64 KiB of memory, all in the archive together.
    void check_length(std::uint64_t length) {
        const std::size_t element_bytes = std::exchange(element_bytes_, 0);
        if (length <= (reader_->left() + 1) * 8) return;
        if (element_bytes == 0 || length > blank_bytes_left_ / element_bytes) {
            throw Error("an encoded value announces more elements than it has bytes");
        }
        blank_bytes_left_ -= static_cast<std::size_t>(length) * element_bytes;
    }

private:
    detail::Reader* reader_;
    std::size_t element_bytes_ = 0, blank_bytes_left_ = 65536;
};

namespace detail {

/// Archives without an overload in this file: only a form by the user or by cereal saves to them.
class OutputProbe : public OutputArchive {};
class InputProbe : public InputArchive {};

}  // namespace detail
}  // namespace mobula

CEREAL_SETUP_ARCHIVE_TRAITS(mobula::InputArchive, mobula::OutputArchive)
CEREAL_SETUP_ARCHIVE_TRAITS(mobula::detail::InputProbe, mobula::detail::OutputProbe)

namespace mobula {
namespace detail {

template <class T>
consteval bool carries_address();
template <class... P>
consteval bool any_carries_address(List<P...>) {
    return (carries_address<std::remove_cv_t<P>>() || ...);
}
template <class T>
consteval bool has_own_form();
/// Whether an address lies in a T as far as can be seen: the members of a class that says itself
/// how it travels, or that is no aggregate, are not looked at.
template <class T>
consteval bool carries_address() {
    if constexpr (Address<T>) {
        return true;
    } else if constexpr (members_carry_address<T>) {
        return !has_own_form<T>();
    } else {
        return any_carries_address(Parts<T>());
    }
}

template <class T>
concept HoldsAddress = carries_address<T>();

template <class T>
concept ClassOrUnion = std::is_class_v<T> || std::is_union_v<T>;

template <class... P>
consteval bool any_has_own_form(List<P...>) {
    return (has_own_form<std::remove_cv_t<P>>() || ...);
}
/// Whether a T, or a part of it, has a form of its own in any of cereal's ways. Such a form is used
/// also where the bytes could be copied.
template <class T>
consteval bool has_own_form() {
    if constexpr (has_parts<T>) {
        return any_has_own_form(Parts<T>());
    } else if constexpr (ClassOrUnion<T>) {
        return cereal::traits::detail::count_output_serializers<T, OutputProbe>::value != 0 ||
               cereal::traits::detail::count_input_serializers<T, InputProbe>::value != 0;
    } else {
        return false;
    }
}

template <class T>
consteval bool is_plain() {
    if constexpr (!std::is_trivially_copyable_v<T>) {
        return false;
    } else if constexpr (HoldsAddress<T>) {
        return false;
    } else {
        return !has_own_form<T>();
    }
}
/// Types that are their bytes. An address means nothing on another rank.
template <class T>
concept Plain = is_plain<T>();

/// Class types of plain bytes, for which this file gives cereal a form. cereal knows containers.
template <class T>
concept PlainClass =
    ClassOrUnion<T> && !has_parts<T> && std::is_default_constructible_v<T> && Plain<T>;

template <class T>
consteval bool goes_through_cereal();
/// Whether cereal can save a T inside of another value, and make one there to load into.
template <class T>
inline constexpr bool goes_inside =
    !std::is_const_v<T> && std::is_default_constructible_v<T> && goes_through_cereal<T>();
/// cereal may make a pointee by a private constructor, which cannot be seen here.
template <class T>
inline constexpr bool goes_inside<Pointee<T>> =
    std::is_polymorphic_v<T> || cereal::traits::has_load_and_construct<T, InputArchive>::value ||
    goes_through_cereal<std::remove_cv_t<T>>();
template <class T>
    requires(!std::is_class_v<T>)
inline constexpr bool goes_inside<Pointee<T>> = goes_inside<std::remove_cv_t<T>>;
template <class... P>
consteval bool all_go_inside(List<P...>) {
    return (goes_inside<P> && ...);
}
/// cereal itself looks at the outermost type only.
template <class T>
consteval bool goes_through_cereal() {
    if constexpr (HoldsAddress<T>) {
        return false;
    } else if constexpr (!cereal::traits::is_output_serializable<T, OutputArchive>::value ||
                         !cereal::traits::is_input_serializable<T, InputArchive>::value) {
        return false;
    } else {
        return all_go_inside(Parts<T>());
    }
}
template <class T>
concept ThroughCereal = goes_through_cereal<T>();

/// Containers of elements that may travel without a byte.
template <class T>
concept HoldsBlanks =
    has_parts<T> && ClassOrUnion<typename T::value_type> && !Plain<typename T::value_type>;

}  // namespace detail

/// cereal calls it before it loads a T.
template <detail::HoldsBlanks T>
void prologue(InputArchive& archive, const T&) {
    archive.expect_elements(sizeof(typename T::value_type));
}

/// Arguments, results and objects: types that can be moved and can travel.
template <class T>
concept Value = std::same_as<T, std::remove_cvref_t<T>> && std::is_object_v<T> &&
                std::move_constructible<T> && (detail::Plain<T> || detail::ThroughCereal<T>);

}  // namespace mobula

namespace cereal {

template <class T>
    requires std::is_arithmetic_v<T>
void CEREAL_SAVE_FUNCTION_NAME(mobula::OutputArchive& archive, const T& value) {
    archive.writer().raw(value);
}
template <class T>
    requires std::is_arithmetic_v<T>
void CEREAL_LOAD_FUNCTION_NAME(mobula::InputArchive& archive, T& value) {
    if constexpr (std::same_as<T, bool>) {
        value = archive.reader().template raw<std::uint8_t>() != 0;  // any other byte is no bool
    } else {
        archive.reader().bytes(&value, sizeof value);
    }
}
/// For the archives themselves only, so that a probe for a user's form does not find these two.
template <std::same_as<mobula::OutputArchive> Archive, mobula::detail::PlainClass T>
void CEREAL_SAVE_FUNCTION_NAME(Archive& archive, const T& value) {
    archive.writer().raw(value);
}
template <std::same_as<mobula::InputArchive> Archive, mobula::detail::PlainClass T>
void CEREAL_LOAD_FUNCTION_NAME(Archive& archive, T& value) {
    archive.reader().bytes(&value, sizeof value);
}
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(mobula::OutputArchive& archive, const BinaryData<T>& data) {
    archive.writer().bytes(data.data, static_cast<std::size_t>(data.size));
}
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(mobula::InputArchive& archive, BinaryData<T>& data) {
    archive.reader().bytes(data.data, static_cast<std::size_t>(data.size));
}
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(mobula::OutputArchive& archive, const NameValuePair<T>& pair) {
    archive(pair.value);
}
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(mobula::InputArchive& archive, NameValuePair<T>& pair) {
    archive(pair.value);
}
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(mobula::OutputArchive& archive, const SizeTag<T>& tag) {
    archive(tag.size);
}
/// A length that the rest of the stream cannot hold is refused before anything is allocated.
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(mobula::InputArchive& archive, SizeTag<T>& tag) {
    archive(tag.size);
    archive.check_length(static_cast<std::uint64_t>(tag.size));
}

}  // namespace cereal

CEREAL_REGISTER_ARCHIVE(mobula::OutputArchive)
CEREAL_REGISTER_ARCHIVE(mobula::InputArchive)

namespace mobula::detail {

template <class T>
    requires Plain<T> || ThroughCereal<T>
void encode(Writer& writer, const T& value) {
    if constexpr (Plain<T>) {
        writer.raw(value);
    } else {
        OutputArchive archive(writer);
        archive(value);
    }
}

/// Constructs a T at `place` from the stream.
template <class T>
    requires Plain<T> || ThroughCereal<T>
void decode(Reader& reader, void* place) {
    if constexpr (Plain<T>) {
        reader.bytes(place, sizeof(T));
    } else {
        static_assert(std::is_default_constructible_v<T>,
                      "mobula: a type that travels through cereal needs a default constructor");
        T* value = new (place) T();
        InputArchive archive(reader);
        try {
            archive(*value);
        } catch (...) {
            value->~T();
            throw;
        }
    }
}

/// Types that are encoded, decoded and destroyed without code of the user's, in a time that grows
/// with their bytes only: the engine may do that while it drives the network.
template <class T>
inline constexpr bool is_quiet = Plain<T>;
template <>
inline constexpr bool is_quiet<std::string> = true;
template <class T>
inline constexpr bool is_quiet<std::vector<T>> =
    Plain<T> && std::is_trivially_default_constructible_v<T>;
template <class A, class B>
inline constexpr bool is_quiet<std::pair<A, B>> = is_quiet<A> && is_quiet<B>;
template <class... T>
inline constexpr bool is_quiet<std::tuple<T...>> = (is_quiet<T> && ...);

/// Whether weight() of a T is a number of bytes; a user's function of that name may mean anything.
template <class T>
inline constexpr bool weighs_itself = false;

/// Whether a T tells its size itself, as containers do.
template <class T>
concept TellsSize = requires(const T& value) {
    { value.size() } -> std::integral;
    sizeof(typename T::value_type);
};

/// About how many bytes a value has, to place tasks near their data; cheap to tell.
template <class T>
[[nodiscard]] std::size_t weight_of(const T& value) noexcept {
    if constexpr (weighs_itself<T>) {
        return value.weight();
    } else if constexpr (TellsSize<T>) {
        return sizeof(T) + static_cast<std::size_t>(value.size()) * sizeof(typename T::value_type);
    } else {
        return sizeof(T);
    }
}

template <Value T>
inline constexpr TypeInfo type_info{
    sizeof(T),
    alignof(T),
    [](const void* value) noexcept { return detail::weight_of(*static_cast<const T*>(value)); },
    [](void* value) noexcept { static_cast<T*>(value)->~T(); },
    [](const void* value, Writer& writer) {
        detail::encode(writer, *static_cast<const T*>(value));
    },
    [](Reader& reader, void* place) { detail::decode<T>(reader, place); },
    Plain<T>,
    is_quiet<T>,
    &typeid(T),
    TellsSize<T> && !weighs_itself<T> && !is_quiet<T> && !has_parts<T>};

}  // namespace mobula::detail
