// SPDX-License-Identifier: Apache-2.0

// Goal: failures travel whole, raise what they should, and no bytes that are no failure do harm.
// Method: round trips of all kinds, every truncation, random bytes.

#include "graph/failure.hpp"

#include <gtest/gtest.h>

#include <random>

#include <mobula/detail/stream.hpp>
#include <mobula/error.hpp>

namespace mobula::graph {
namespace {

Failure sample(FailureKind kind) {
    Failure failure;
    failure.kind = kind;
    failure.message = "the disk is full";
    failure.function = "store";
    failure.rank = 3;
    failure.chain = {"sum", "mean"};
    return failure;
}

std::vector<std::byte> bytes_of(const Failure& failure) {
    detail::Writer writer;
    failure.encode(writer);
    return writer.stream().copy();
}

Failure decoded(std::span<const std::byte> bytes) {
    detail::Reader reader(bytes, {}, {});
    return Failure::decode(reader);
}

template <class E>
void expect_raised(FailureKind kind) {
    try {
        sample(kind).raise();
    } catch (const E& error) {
        EXPECT_NE(std::string(error.what()).find("the disk is full"), std::string::npos);
        EXPECT_NE(std::string(error.what()).find("needed by mean"), std::string::npos);
    }
}

TEST(failure, raises_the_exception_of_its_kind) {
    expect_raised<TaskError>(FailureKind::task_error);
    expect_raised<TaskCrashed>(FailureKind::task_crashed);
    expect_raised<ActorDied>(FailureKind::actor_died);
    expect_raised<OwnerDied>(FailureKind::owner_died);
    expect_raised<Cancelled>(FailureKind::cancelled);
    expect_raised<StoreFull>(FailureKind::store_full);
    expect_raised<Infeasible>(FailureKind::infeasible);
}

TEST(failure, travels_whole) {
    for (int kind = 0; kind <= static_cast<int>(FailureKind::infeasible); ++kind) {
        const Failure before = sample(static_cast<FailureKind>(kind));
        const Failure after = decoded(bytes_of(before));
        EXPECT_EQ(after.kind, before.kind);
        EXPECT_EQ(after.message, before.message);
        EXPECT_EQ(after.function, before.function);
        EXPECT_EQ(after.rank, before.rank);
        EXPECT_EQ(after.chain, before.chain);
    }
}

TEST(failure, refuses_every_truncation) {
    const std::vector<std::byte> whole = bytes_of(sample(FailureKind::task_error));
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_THROW(static_cast<void>(decoded(std::span(whole).first(size))), Error) << size;
    }
}

TEST(failure, survives_random_and_damaged_bytes) {
    std::mt19937 random(1);
    std::vector<std::byte> whole = bytes_of(sample(FailureKind::task_error));
    for (int round = 0; round < 20000; ++round) {
        std::vector<std::byte> bytes = whole;
        if (round % 2 == 0) {
            bytes.resize(random() % 64);
            for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
        } else {
            bytes[random() % bytes.size()] = static_cast<std::byte>(random());
        }
        try {
            static_cast<void>(decoded(bytes));
        } catch (const Error&) {  // expected of most
        }
    }
}

template <class Throw>
FailurePtr failure_of(Throw&& thrower) {
    try {
        thrower();
    } catch (...) {
        return failure_from_current_exception("f", 2);
    }
    return nullptr;
}

TEST(failure, is_made_of_any_exception) {
    const FailurePtr plain = failure_of([] { throw std::runtime_error("oh"); });
    EXPECT_EQ(plain->kind, FailureKind::task_error);
    EXPECT_EQ(plain->message, "oh");
    EXPECT_EQ(plain->function, "f");
    EXPECT_EQ(plain->rank, 2U);
    EXPECT_EQ(failure_of([] { throw 7; })->kind, FailureKind::task_error);
    EXPECT_EQ(failure_of([] { throw Cancelled("x"); })->kind, FailureKind::cancelled);
    EXPECT_EQ(failure_of([] { throw ActorDied("x"); })->kind, FailureKind::actor_died);
    EXPECT_EQ(failure_of([] { throw StoreFull("x"); })->kind, FailureKind::store_full);
    EXPECT_EQ(failure_of([] { throw Infeasible("x"); })->kind, FailureKind::infeasible);
}

TEST(failure, keeps_its_first_cause_and_a_bounded_chain) {
    FailurePtr failure = failure_of([] { throw std::runtime_error("oh"); });
    for (int i = 0; i < 100; ++i) {
        failure = failure_of([&] { failure->raise(); });
        failure = failure_passed_on(*failure, "g");
    }
    EXPECT_EQ(failure->message, "oh");
    EXPECT_EQ(failure->function, "f");
    EXPECT_LE(failure->chain.size(), 16U);
    EXPECT_EQ(decoded(bytes_of(*failure)).chain, failure->chain);
}

}  // namespace
}  // namespace mobula::graph
