// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <mobula/mobula.hpp>

#include "runtime/lone_engine.hpp"

// The address sanitizer's, where there is one.
extern "C" void __lsan_disable() __attribute__((weak));
extern "C" void __lsan_enable() __attribute__((weak));

/// What the records of records_test.cpp are made with.
namespace mobula::runtime::testing {

/// While one lives, what is made is no leak: rank 2 never gives back what it holds.
struct HeldForEver {
    HeldForEver() {
        if (__lsan_disable != nullptr) __lsan_disable();
    }
    ~HeldForEver() {
        if (__lsan_enable != nullptr) __lsan_enable();
    }
    HeldForEver(const HeldForEver&) = delete;
    HeldForEver& operator=(const HeldForEver&) = delete;
};

inline TaskOptions there() {
    return {.name = "there", .resources = {{"seat", 1}}, .placement = Placement::on_rank(2)};
}

inline TaskKey key_of(const Record& task) {
    wire::RecordReader reader(task);
    static_cast<void>(reader.bytes(1 + 4 + 4));
    return reader.get<TaskKey>();
}
inline Record bytes_of(const wire::RecordWriter& record) {
    return {record.span().begin(), record.span().end()};
}

inline constexpr ObjectId theirs{LoneEngine::peer, LoneEngine::incarnation(LoneEngine::peer), 7};

/// What the record under test speaks of, and what must live as long as the engine.
struct Stage {
    LoneEngine engine;
    std::vector<std::function<void()>> undo;
    std::vector<TaskKey> sent;
    std::vector<detail::CellPtr> kept;

    Stage() = default;
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;
    ~Stage() {
        // Tasks that rank 2 will never answer.
        for (const TaskKey key : sent) {
            if (Task* const task = engine->dispatcher.find_sent(key, LoneEngine::peer)) {
                engine->fail(*task, std::make_shared<graph::Failure>());
            }
        }
        for (const auto& one : undo) one();
    }
    template <class T>
    void keep(T value) {
        auto held = std::make_shared<T>(std::move(value));
        undo.push_back([held]() mutable { held.reset(); });
    }
    /// Sends a task to rank 2; its record.
    template <auto function, class... A>
    Record task(A&&... arguments) {
        keep(remote<function>(there(), std::forward<A>(arguments)...));
        Record record = engine.sent(wire::Kind::task);
        sent.push_back(key_of(record));
        return record;
    }
    /// An object of this rank that rank 2 holds.
    template <class T>
    ObjectId shared(const Ref<T>& ref) {
        keep(ref);
        auto& object = graph::Object::of(*ref.cell().get());
        wire::RecordWriter to_nowhere(wire::Kind::found);
        engine->exchange.describe(object, LoneEngine::peer, to_nowhere);
        return engine->exchange.publish(object);
    }
    /// A pending object of rank 2 that this rank holds and waits for.
    graph::Object& held() {
        wire::RecordWriter described(wire::Kind::found);
        described.put(theirs).put(std::uint8_t{0});
        wire::RecordReader reader(described.span().subspan(1));
        kept.push_back(engine->exchange.adopt(reader));
        auto& object = graph::Object::of(*kept.back());
        engine->exchange.want(object, true);
        return object;
    }
};

inline void put_failure(wire::RecordWriter& record, bool sized) {
    graph::Failure failure;
    failure.message = "it failed";
    failure.function = "somewhere";
    failure.chain = {"one", "two"};
    detail::Writer writer;
    failure.encode(writer);
    if (sized) record.put(static_cast<std::uint32_t>(writer.stream().size()));
    record.bytes(writer.stream().data(), writer.stream().size());
}
/// The form of a std::string without blocks and references.
inline void put_form(wire::RecordWriter& record, const std::string& text) {
    detail::Writer writer;
    detail::encode(writer, text);
    record.put(std::uint32_t{0}).put(std::uint32_t{0}).put(std::uint8_t{0});
    record.put(static_cast<std::uint32_t>(writer.stream().size()));
    record.bytes(writer.stream().data(), writer.stream().size());
}

enum class Result : std::uint8_t { plain, encoded, located, failed };

inline wire::RecordWriter& start_result(wire::RecordWriter& record, Result form, TaskKey key) {
    record.put(key).put(std::uint32_t{1000}).put(std::uint16_t{0});
    return record.put(form).put(std::uint8_t{0});
}

}  // namespace mobula::runtime::testing
