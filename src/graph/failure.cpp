// SPDX-License-Identifier: Apache-2.0
#include "graph/failure.hpp"

#include <mobula/detail/stream.hpp>
#include <mobula/error.hpp>

#include "graph/travelling.hpp"

namespace mobula::graph {
namespace {

/// A failure that passes through very many tasks keeps the first ones only.
constexpr std::size_t chain_max = 16;
/// The nested exceptions that are told, and the bytes of a text.
constexpr std::size_t causes_max = 16, text_bytes_max = 65536;

void encode_text(detail::Writer& writer, const std::string& text) {
    writer.raw(static_cast<std::uint32_t>(text.size()));
    writer.bytes(text.data(), text.size());
}

std::uint32_t decode_size(detail::Reader& reader) {
    const auto size = reader.raw<std::uint32_t>();
    if (size > reader.left()) throw Error("an encoded failure ends too early");
    return size;
}

std::string decode_text(detail::Reader& reader) {
    std::string text(decode_size(reader), '\0');
    reader.bytes(text.data(), text.size());
    return text;
}

void encode_texts(detail::Writer& writer, const std::vector<std::string>& texts) {
    writer.raw(static_cast<std::uint32_t>(texts.size()));
    for (const std::string& text : texts) encode_text(writer, text);
}

std::vector<std::string> decode_texts(detail::Reader& reader, std::size_t max) {
    const auto size = reader.raw<std::uint32_t>();
    if (size > max) throw Error("an encoded failure has too long a chain");
    std::vector<std::string> texts;
    for (std::uint32_t i = 0; i < size; ++i) texts.push_back(decode_text(reader));
    return texts;
}

std::string subject_of(const Failure& failure) {
    switch (failure.doing) {
        case Doing::running: return failure.function;
        case Doing::encoding_argument: return "encoding an argument of " + failure.function;
        case Doing::bringing_argument: return "bringing the arguments of " + failure.function;
        case Doing::decoding_argument: return "decoding an argument of " + failure.function;
        case Doing::encoding_result: return "encoding the result of " + failure.function;
        case Doing::encoding_item: return "encoding an item of " + failure.function;
        case Doing::encoding_object: return "encoding an object";
        case Doing::decoding_object: return "decoding an object";
        case Doing::completing_promise: return "a Promise";
    }
    return failure.function;
}

/// What raise() throws of an error without parts of its own, so that a task that lets it pass has
/// the whole failure.
struct Origin {
    FailurePtr failure;
};
template <class E>
struct Raised : E, Origin {
    explicit Raised(const FailurePtr& failure) : E(failure->sentence()), Origin{failure} {}
};

/// The failure behind the exception that is being handled, or null for one of the user's own.
FailurePtr origin_of_current() {
    try {
        throw;
    } catch (const TaskError& error) {
        return error.failure();
    } catch (const Origin& origin) {
        return origin.failure;
    } catch (...) {
        return nullptr;
    }
}

FailureKind kind_of_current() {
    try {
        throw;
    } catch (const TaskCrashed&) {
        return FailureKind::task_crashed;
    } catch (const ActorDied&) {
        return FailureKind::actor_died;
    } catch (const OwnerDied&) {
        return FailureKind::owner_died;
    } catch (const Cancelled&) {
        return FailureKind::cancelled;
    } catch (const StoreFull&) {
        return FailureKind::store_full;
    } catch (const Infeasible&) {
        return FailureKind::infeasible;
    } catch (const BrokenPromise&) {
        return FailureKind::broken_promise;
    } catch (...) {
        return FailureKind::task_error;
    }
}

// ---- what an exception says ----

/// Whether the exception that is being handled is a number of this type.
template <class Number>
bool says_number(std::string& text) {
    try {
        throw;
    } catch (const Number number) {
        text = std::to_string(number);
        return true;
    } catch (...) {
        return false;
    }
}
template <class... Number>
bool says_a_number(std::string& text) {
    return (says_number<Number>(text) || ...);
}

/// A null pointer says nothing.
std::string text_at(const char* text) { return text == nullptr ? std::string() : text; }

std::string text_of_current() {
    std::string text;
    try {
        throw;
    } catch (const std::exception& error) {
        text = text_at(error.what());
    } catch (const std::string& thrown) {
        text = thrown;
    } catch (const std::string_view thrown) {
        text = thrown;
    } catch (const char* thrown) {
        text = text_at(thrown);
    } catch (...) {
        static_cast<void>(says_a_number<int, unsigned, long, unsigned long, long long,
                                        unsigned long long, float, double>(text));
    }
    if (text.size() > text_bytes_max) text.replace(text_bytes_max, std::string::npos, "...");
    return text;
}

/// The exception that is nested in the one that is being handled, or null.
std::exception_ptr nested_in_current() {
    try {
        throw;
    } catch (const std::nested_exception& nested) {
        return nested.nested_ptr();
    } catch (...) {
        return nullptr;
    }
}

std::string type_and_text(const std::string& type, const std::string& text) {
    return text == type ? type : type + ": " + text;
}

/// As describe_current_exception(), without what is nested in it.
Described describe_outermost() {
    if (const FailurePtr failure = origin_of_current()) {
        return {"the failure of a task", failure->sentence(), {}};
    }
    Described described{type_of_current_exception(), text_of_current(), {}};
    if (described.text.empty()) described.text = described.type;
    return described;
}

}  // namespace

Described describe_current_exception() {
    Described described = describe_outermost();
    std::exception_ptr next = nested_in_current();
    while (next != nullptr && described.causes.size() < causes_max) {
        try {
            std::rethrow_exception(next);
        } catch (...) {
            const Described inner = describe_outermost();
            described.causes.push_back(type_and_text(inner.type, inner.text));
            next = nested_in_current();
        }
    }
    return described;
}

std::string text_of(const Described& described) {
    std::string text = described.text;
    for (const std::string& cause : described.causes) text += "; caused by " + cause;
    return text;
}

// ---- failures ----

std::string Failure::sentence() const {
    std::string text;
    switch (kind) {
        case FailureKind::task_error:
            text = subject_of(*this) +
                   (doing == Doing::completing_promise ? " was given " : " threw ") +
                   (type.empty() ? "" : type + " ") + "on rank " + std::to_string(rank);
            if (message != type) text += ": " + message;
            break;
        case FailureKind::store_full:
            text = function.empty() ? message : subject_of(*this) + " failed: " + message;
            break;
        default: text = message;
    }
    for (const std::string& cause : causes) text += "; caused by " + cause;
    for (const std::string& name : chain) text += "; needed by " + name;
    return text;
}

void raise(const FailurePtr& failure) {
    switch (failure->kind) {
        case FailureKind::task_error:
            if (failure->travelling != 0) throw_travelled(failure);
            throw TaskError(failure);
        case FailureKind::task_crashed: throw Raised<TaskCrashed>(failure);
        case FailureKind::actor_died: throw Raised<ActorDied>(failure);
        case FailureKind::owner_died: throw Raised<OwnerDied>(failure);
        case FailureKind::cancelled: throw Raised<Cancelled>(failure);
        case FailureKind::store_full: throw Raised<StoreFull>(failure);
        case FailureKind::infeasible: throw Raised<Infeasible>(failure);
        case FailureKind::broken_promise: throw Raised<BrokenPromise>(failure);
    }
    throw Raised<Error>(failure);
}

void Failure::raise() const { graph::raise(std::make_shared<Failure>(*this)); }

void Failure::encode(detail::Writer& writer) const {
    writer.raw(kind);
    writer.raw(doing);
    writer.raw(rank);
    encode_text(writer, message);
    encode_text(writer, function);
    encode_text(writer, type);
    encode_texts(writer, causes);
    encode_texts(writer, chain);
    writer.raw(travelling);
    writer.raw(static_cast<std::uint32_t>(value.size()));
    writer.bytes(value.data(), value.size());
}

Failure Failure::decode(detail::Reader& reader) {
    Failure failure;
    failure.kind = reader.raw<FailureKind>();
    if (failure.kind > FailureKind::broken_promise)
        throw Error("an encoded failure has no such kind");
    failure.doing = reader.raw<Doing>();
    if (failure.doing > Doing::completing_promise) {
        throw Error("an encoded failure is of nothing that is done");
    }
    failure.rank = reader.raw<std::uint32_t>();
    failure.message = decode_text(reader);
    failure.function = decode_text(reader);
    failure.type = decode_text(reader);
    failure.causes = decode_texts(reader, causes_max);
    failure.chain = decode_texts(reader, chain_max);
    failure.travelling = reader.raw<std::uint32_t>();
    failure.value.resize(decode_size(reader));
    reader.bytes(failure.value.data(), failure.value.size());
    return failure;
}

FailurePtr failure_from_current_exception(const std::string& function, std::uint32_t rank,
                                          Doing doing) {
    if (const FailurePtr origin = origin_of_current()) {
        // A task that lets the failure of another one pass has that one's, one link longer; one
        // that was cancelled, or whose argument could not be decoded, is no link to itself.
        const bool own = origin->chain.empty() && origin->function == function &&
                         (origin->kind == FailureKind::cancelled ||
                          origin->doing != Doing::running || doing != Doing::running);
        return own || function.empty() ? origin : failure_passed_on(*origin, function);
    }
    auto failure = std::make_shared<Failure>();
    failure->function = function;
    failure->rank = rank;
    failure->doing = doing;
    failure->kind = kind_of_current();
    Described described = describe_current_exception();
    failure->message = std::move(described.text);
    if (failure->kind == FailureKind::task_error) {
        failure->type = std::move(described.type);
        failure->causes = std::move(described.causes);
        failure->cause = std::current_exception();
        encode_travelling(*failure);
    }
    return failure;
}

FailurePtr failure_passed_on(const Failure& failure, const std::string& function) {
    auto passed = std::make_shared<Failure>(failure);
    if (passed->chain.size() < chain_max) passed->chain.push_back(function);
    return passed;
}

}  // namespace mobula::graph

namespace mobula {

TaskError::TaskError(std::shared_ptr<const graph::Failure> failure)
    : Error(failure->sentence()), failure_(std::move(failure)) {}

const std::string& TaskError::message() const noexcept { return failure_->message; }
const std::string& TaskError::type() const noexcept { return failure_->type; }
const std::vector<std::string>& TaskError::causes() const noexcept { return failure_->causes; }
const std::string& TaskError::function() const noexcept { return failure_->function; }
const std::vector<std::string>& TaskError::chain() const noexcept { return failure_->chain; }
unsigned TaskError::rank() const noexcept { return failure_->rank; }
std::exception_ptr TaskError::cause() const noexcept { return failure_->cause; }

}  // namespace mobula
