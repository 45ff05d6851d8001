// SPDX-License-Identifier: Apache-2.0
#include "graph/failure.hpp"

#include <mobula/detail/stream.hpp>
#include <mobula/error.hpp>

namespace mobula::graph {
namespace {

/// A failure that passes through very many tasks keeps the first ones only.
constexpr std::size_t chain_max = 16;

void encode_text(detail::Writer& writer, const std::string& text) {
    writer.raw(static_cast<std::uint32_t>(text.size()));
    writer.bytes(text.data(), text.size());
}

std::string decode_text(detail::Reader& reader) {
    const auto size = reader.raw<std::uint32_t>();
    if (size > reader.left()) throw Error("an encoded failure ends too early");
    std::string text(size, '\0');
    reader.bytes(text.data(), size);
    return text;
}

}  // namespace

std::string Failure::sentence() const {
    std::string text;
    switch (kind) {
        case FailureKind::task_error:
            text = function + " threw on rank " + std::to_string(rank) + ": " + message;
            break;
        default: text = message;
    }
    for (const std::string& name : chain) text += "; needed by " + name;
    return text;
}

void Failure::raise() const {
    switch (kind) {
        case FailureKind::task_error: throw TaskError(sentence(), message, function, rank, chain);
        case FailureKind::task_crashed: throw TaskCrashed(sentence());
        case FailureKind::actor_died: throw ActorDied(sentence());
        case FailureKind::owner_died: throw OwnerDied(sentence());
        case FailureKind::cancelled: throw Cancelled(sentence());
        case FailureKind::store_full: throw StoreFull(sentence());
        case FailureKind::infeasible: throw Infeasible(sentence());
    }
    throw Error(sentence());
}

void Failure::encode(detail::Writer& writer) const {
    writer.raw(kind);
    writer.raw(rank);
    encode_text(writer, message);
    encode_text(writer, function);
    writer.raw(static_cast<std::uint32_t>(chain.size()));
    for (const std::string& name : chain) encode_text(writer, name);
}

Failure Failure::decode(detail::Reader& reader) {
    Failure failure;
    failure.kind = reader.raw<FailureKind>();
    if (failure.kind > FailureKind::infeasible) throw Error("an encoded failure has no such kind");
    failure.rank = reader.raw<std::uint32_t>();
    failure.message = decode_text(reader);
    failure.function = decode_text(reader);
    const auto links = reader.raw<std::uint32_t>();
    if (links > chain_max) throw Error("an encoded failure has too long a chain");
    for (std::uint32_t i = 0; i < links; ++i) failure.chain.push_back(decode_text(reader));
    return failure;
}

FailurePtr failure_from_current_exception(const std::string& function, std::uint32_t rank) {
    auto failure = std::make_shared<Failure>();
    failure->function = function;
    failure->rank = rank;
    try {
        throw;
    } catch (const TaskError& error) {
        // A task that got the failure of another one passes it on under its first cause.
        failure->message = error.message();
        failure->function = error.function();
        failure->rank = error.rank();
        failure->chain = error.chain();
        if (failure->chain.size() < chain_max) failure->chain.push_back(function);
    } catch (const Cancelled& error) {
        failure->kind = FailureKind::cancelled;
        failure->message = error.what();
    } catch (const ActorDied& error) {
        failure->kind = FailureKind::actor_died;
        failure->message = error.what();
    } catch (const StoreFull& error) {
        failure->kind = FailureKind::store_full;
        failure->message = error.what();
    } catch (const Infeasible& error) {
        failure->kind = FailureKind::infeasible;
        failure->message = error.what();
    } catch (const std::exception& error) {
        failure->message = error.what();
    } catch (...) {
        failure->message = "an exception that is no std::exception";
    }
    return failure;
}

FailurePtr failure_passed_on(const Failure& failure, const std::string& function) {
    auto passed = std::make_shared<Failure>(failure);
    if (passed->chain.size() < chain_max) passed->chain.push_back(function);
    return passed;
}

}  // namespace mobula::graph
