// SPDX-License-Identifier: Apache-2.0
#include "graph/travelling.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include <mobula/detail/stream.hpp>
#include <mobula/travels.hpp>

#include "base/encoding.hpp"
#include "base/type_name.hpp"

namespace mobula::graph {
namespace {

using detail::ExceptionInfo;

/// It goes with each word of the failure, which has to fit into one record.
constexpr std::size_t travelling_bytes_max = std::size_t{1} << 20U;

/// The type under which an exception is thrown that is two things in one object. C++ would not
/// catch it as a base that both have, such as std::exception: which of the two is meant is
/// ambiguous. A handler that is looked for asks the thrown object's type_info whether and where its
/// own type lies in the object (Itanium C++ ABI, which gcc and clang follow), so this one answers:
/// first by the TaskError, whose what() has the whole sentence, then by the user's type.
class BothTypes final : public abi::__class_type_info {
public:
    explicit BothTypes(const ExceptionInfo& info)
        : __class_type_info(info.thrown_type->name()), info_(info) {}

    using __class_type_info::__do_upcast;
    bool __do_upcast(const abi::__class_type_info* wanted, void** object) const override {
        return is_inside(typeid(TaskError), info_.as_task_error(*object), wanted, object) ||
               is_inside(*info_.type, info_.as_itself(*object), wanted, object);
    }

private:
    static bool is_inside(const std::type_info& part, void* place,
                          const abi::__class_type_info* wanted, void** object) {
        if (!part.__do_upcast(wanted, &place)) return false;
        *object = place;
        return true;
    }

    const ExceptionInfo& info_;
};

std::vector<const ExceptionInfo*>& registered() {
    static auto* const infos = new std::vector<const ExceptionInfo*>();
    return *infos;
}

struct Type {
    const ExceptionInfo* info;
    std::unique_ptr<const BothTypes> thrown;
    std::string name;
};

/// In an order that is the same on all ranks: stable, for types of internal linkage may share a
/// name, and one executable registers them in one order.
const std::vector<Type>& table() {
    static const auto* const types = [] {
        std::vector<const ExceptionInfo*> infos = registered();
        std::stable_sort(infos.begin(), infos.end(), [](const auto* a, const auto* b) {
            return std::strcmp(a->type->name(), b->type->name()) < 0;
        });
        auto* const made = new std::vector<Type>();  // a thrown exception may outlive main
        for (const ExceptionInfo* info : infos) {
            made->push_back(
                {info, std::make_unique<BothTypes>(*info), readable_type(info->type->name())});
        }
        return made;
    }();
    return *types;
}

/// The number of the type of the exception that is being handled; 0 where it does not travel.
std::uint32_t number_of_current() {
    const std::vector<Type>& types = table();
    const std::type_info* const current = abi::__cxa_current_exception_type();
    if (types.empty() || current == nullptr) return 0;
    const auto number = [&](auto&& is_it) {
        const auto found = std::find_if(types.begin(), types.end(), is_it);
        return found == types.end() ? 0U : static_cast<std::uint32_t>(found - types.begin()) + 1;
    };
    const std::uint32_t same =
        number([&](const Type& type) { return *type.info->type == *current; });
    if (same != 0 || std::strncmp(current->name(), "St17_Nested_exceptionI", 22) != 0) return same;
    // std::throw_with_nested throws a type derived from the user's, which readable_type() looks
    // through.
    const std::string name = readable_type(current->name());
    return number([&](const Type& type) { return type.name == name; });
}

}  // namespace

std::string type_of_current_exception() {
    const std::type_info* const type = abi::__cxa_current_exception_type();
    return type == nullptr ? "a foreign exception" : readable_type(type->name());
}

void encode_travelling(Failure& failure) {
    const std::uint32_t number = number_of_current();
    if (number == 0) return;
    detail::Writer writer;
    try {
        const Encoding encoding;
        table()[number - 1].info->encode(writer);
        if (!writer.references().empty() || !writer.attachments().empty()) {
            throw Error("it holds a reference or an Array");
        }
        if (writer.stream().size() > travelling_bytes_max) throw Error("it has more than 1 MiB");
    } catch (...) {
        failure.message += " (this exception could not be encoded to travel as itself: " +
                           text_of(describe_current_exception()) + ")";
        return;
    }
    failure.travelling = number;
    failure.value = writer.stream().copy();
}

void throw_travelled(const FailurePtr& failure) {
    const std::vector<Type>& types = table();
    if (failure->travelling > types.size()) return;
    const Type& type = types[failure->travelling - 1];
    void* const thrown = abi::__cxa_allocate_exception(type.info->thrown_bytes);
    try {
        detail::Reader reader(failure->value, {}, {});
        type.info->make(thrown, reader, failure->message, TaskError(failure));
    } catch (...) {
        abi::__cxa_free_exception(thrown);
        return;
    }
    abi::__cxa_throw(thrown, const_cast<BothTypes*>(type.thrown.get()), type.info->destroy);
}

std::vector<const char*> travelling_types() {
    std::vector<const char*> names;
    for (const Type& type : table()) names.push_back(type.info->type->name());
    return names;
}

}  // namespace mobula::graph

namespace mobula::detail {

void register_exception(const ExceptionInfo& info) { graph::registered().push_back(&info); }

}  // namespace mobula::detail
