// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>

#include <mobula/archive.hpp>

/// Types whose bytes could be copied, but which say themselves how they travel: one for each way in
/// which cereal lets them. Whoever came through his form knows it: `loaded` is not saved.
namespace mobula::testing {

struct Travelled {
    int x = 0;
    bool loaded = false;
};

template <class Archive, class T>
void serialize_travelled(Archive& archive, T& value) {
    archive(value.x);
    if constexpr (std::same_as<Archive, InputArchive>) value.loaded = true;
}
template <class T>
void load_travelled(T& value, int x) {
    value.x = x;
    value.loaded = true;
}

struct MemberSerialize : Travelled {
    template <class Archive>
    void serialize(Archive& archive) {
        serialize_travelled(archive, *this);
    }
};
struct MemberVersionedSerialize : Travelled {
    template <class Archive>
    void serialize(Archive& archive, std::uint32_t) {
        serialize_travelled(archive, *this);
    }
};
struct MemberSaveLoad : Travelled {
    template <class Archive>
    void save(Archive& archive) const {
        archive(x);
    }
    template <class Archive>
    void load(Archive& archive) {
        serialize_travelled(archive, *this);
    }
};
struct MemberVersionedSaveLoad : Travelled {
    template <class Archive>
    void save(Archive& archive, std::uint32_t) const {
        archive(x);
    }
    template <class Archive>
    void load(Archive& archive, std::uint32_t) {
        serialize_travelled(archive, *this);
    }
};
struct MemberMinimal : Travelled {
    template <class Archive>
    int save_minimal(const Archive&) const {
        return x;
    }
    template <class Archive>
    void load_minimal(const Archive&, const int& saved) {
        load_travelled(*this, saved);
    }
};
class Private : public Travelled {
    friend class cereal::access;
    template <class Archive>
    void serialize(Archive& archive) {
        serialize_travelled(archive, *this);
    }
};

struct FreeSerialize : Travelled {};
template <class Archive>
void serialize(Archive& archive, FreeSerialize& value) {
    serialize_travelled(archive, value);
}
struct FreeVersionedSerialize : Travelled {};
template <class Archive>
void serialize(Archive& archive, FreeVersionedSerialize& value, std::uint32_t) {
    serialize_travelled(archive, value);
}
struct FreeSaveLoad : Travelled {};
template <class Archive>
void save(Archive& archive, const FreeSaveLoad& value) {
    archive(value.x);
}
template <class Archive>
void load(Archive& archive, FreeSaveLoad& value) {
    serialize_travelled(archive, value);
}
struct FreeMinimal : Travelled {};
template <class Archive>
int save_minimal(const Archive&, const FreeMinimal& value) {
    return value.x;
}
template <class Archive>
void load_minimal(const Archive&, FreeMinimal& value, const int& saved) {
    load_travelled(value, saved);
}
/// For the engine's archives alone, by functions that are no templates.
struct OursSaveLoad : Travelled {};
inline void save(OutputArchive& archive, const OursSaveLoad& value) { archive(value.x); }
inline void load(InputArchive& archive, OursSaveLoad& value) {
    serialize_travelled(archive, value);
}

/// Calls `use.operator()<T>()` for each of them.
template <class Use>
void for_each_form(Use&& use) {
    [&]<class... T>(detail::List<T...>) {
        (use.template operator()<T>(), ...);
    }(detail::List<MemberSerialize, MemberVersionedSerialize, MemberSaveLoad,
                   MemberVersionedSaveLoad, MemberMinimal, Private, FreeSerialize,
                   FreeVersionedSerialize, FreeSaveLoad, FreeMinimal, OursSaveLoad>());
}

}  // namespace mobula::testing
