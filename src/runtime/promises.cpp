// SPDX-License-Identifier: Apache-2.0

/// The erased functions that Promise<T> calls.

#include <mobula/detail/promise.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include <mobula/error.hpp>

#include "graph/promised.hpp"
#include "runtime/engine.hpp"

namespace mobula::detail {

using graph::Object;
using runtime::Engine;

namespace {

std::uint32_t own_rank(const Engine& engine) {
    return static_cast<std::uint32_t>(index(engine.self()));
}

/// What the calling task has printed comes before other ranks learn of the object.
void settle_output(Engine& engine, const Object& object) noexcept {
    if (object.shared != nullptr) engine.forwarder.settle(std::nullopt);
}

graph::FailurePtr broken(const Engine& engine) {
    auto failure = std::make_shared<graph::Failure>();
    failure->kind = graph::FailureKind::broken_promise;
    failure->rank = own_rank(engine);
    failure->message = "the Promise of the object was destroyed on rank " +
                       std::to_string(failure->rank) +
                       " before set_value or set_exception was called";
    return failure;
}

graph::FailurePtr failure_of(const Engine& engine, const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (...) {
        return graph::failure_from_current_exception({}, own_rank(engine),
                                                     graph::Doing::completing_promise);
    }
}

}  // namespace

CellPtr new_promised(const TypeInfo& type) {
    static_cast<void>(Engine::current());
    return CellPtr(graph::new_promised(type));
}

void* promised_place(Cell& cell) {
    static_cast<void>(Engine::current());
    Object& object = Object::of(cell);
    if (!graph::claim_promised(object)) return nullptr;
    return graph::make_place(object, *object.type);
}

void drop_promised_place(Cell& cell) noexcept {
    Object& object = Object::of(cell);
    graph::drop_place(object);
    graph::unclaim_promised(object);
}

void finish_promised(Cell& cell) {
    Object& object = Object::of(cell);
    Engine& engine = Engine::current();
    settle_output(engine, object);
    graph::complete(object);
    engine.wake_for_own_thread();
}

void fail_promised(Cell& cell, const std::exception_ptr& exception) {
    Engine& engine = Engine::current();
    Object& object = Object::of(cell);
    if (!graph::claim_promised(object)) return;
    graph::FailurePtr failure = failure_of(engine, exception);
    settle_output(engine, object);
    graph::fail(object, std::move(failure));
    engine.wake_for_own_thread();
}

void break_promised(Cell& cell) noexcept {
    // Where the job ends, all that waits is woken by that.
    if (!Engine::running() || Engine::current().team.stopping()) return;
    Engine& engine = Engine::current();
    Object& object = Object::of(cell);
    if (graph::is_alone(object) || !graph::claim_promised(object)) return;
    graph::fail(object, broken(engine));
    engine.wake_for_own_thread();
}

void check_promise(const Cell* cell) {
    if (cell == nullptr) throw BadInput("the Promise was moved from and completes nothing");
}

void check_exception(const std::exception_ptr& exception) {
    if (exception == nullptr) throw BadInput("Promise::set_exception: there is no exception");
}

void throw_completed() {
    throw BadInput("the Promise was completed already; set_value or set_exception is called once");
}

}  // namespace mobula::detail
