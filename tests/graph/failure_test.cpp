// SPDX-License-Identifier: Apache-2.0

// Goal: failures travel whole, raise what they should, and no bytes that are no failure do harm.
// Method: round trips of all kinds, every truncation, random bytes.

#include "graph/failure.hpp"

#include <gtest/gtest.h>

#include <random>

#include <mobula/detail/stream.hpp>
#include <mobula/error.hpp>
#include <mobula/travels.hpp>

#include "graph/travelling.hpp"

namespace mobula::graph {
namespace {

Failure sample(FailureKind kind) {
    Failure failure;
    failure.kind = kind;
    failure.message = "the disk is full";
    failure.function = "store";
    failure.rank = 3;
    failure.chain = {"sum", "mean"};
    failure.doing = Doing::encoding_result;
    failure.type = "app::DiskError";
    failure.causes = {"std::runtime_error: sector 4"};
    failure.value = {std::byte{1}, std::byte{2}};
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
        EXPECT_EQ(after.doing, before.doing);
        EXPECT_EQ(after.type, before.type);
        EXPECT_EQ(after.causes, before.causes);
        EXPECT_EQ(after.value, before.value);
        EXPECT_EQ(after.sentence(), before.sentence());
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
            decoded(bytes).raise();
        } catch (const Error&) {  // expected of all
        }
    }
}

struct Travels : std::logic_error {
    explicit Travels(const std::string& text, std::uint64_t given = 0)
        : std::logic_error(text), number(given) {}
    template <class Archive>
    void serialize(Archive& archive) {
        archive(number);
    }
    std::uint64_t number;
};
const bool travels_named = travels<Travels>();

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

TEST(failure, passes_through_a_task_whole_whatever_its_kind) {
    for (int kind = 0; kind <= static_cast<int>(FailureKind::infeasible); ++kind) {
        const Failure before = sample(static_cast<FailureKind>(kind));
        const FailurePtr after = failure_of([&] { before.raise(); });
        EXPECT_EQ(after->kind, before.kind);
        EXPECT_EQ(after->message, before.message);
        EXPECT_EQ(after->function, before.function);
        EXPECT_EQ(after->chain.size(), before.chain.size() + 1);
    }
}

/// Half of an encoded exception, a number that no type has, and bytes that are none.
TEST(failure, is_a_task_error_where_what_travelled_cannot_be_made) {
    Failure failure = sample(FailureKind::task_error);
    for (const std::uint32_t number : {1U, 2U, 1000U}) {
        for (const std::size_t size : {0U, 3U, 7U, 100U}) {
            failure.travelling = number;
            failure.value.assign(size, std::byte{0xFF});
            EXPECT_THROW(failure.raise(), TaskError);
        }
    }
    ASSERT_EQ(travelling_types().size(), 1U);
}

TEST(failure, raises_what_travelled_after_any_way) {
    FailurePtr failure = failure_of([] { throw Travels("lost", 5); });
    failure = std::make_shared<Failure>(decoded(bytes_of(*failure_passed_on(*failure, "g"))));
    EXPECT_EQ(failure->cause, nullptr);
    for (int i = 0; i < 2; ++i) {
        try {
            raise(failure);
        } catch (const Travels& error) {
            EXPECT_EQ(error.number, 5U);
            EXPECT_STREQ(error.what(), "lost");
        }
        EXPECT_THROW(raise(failure), TaskError);
        EXPECT_THROW(raise(failure), std::logic_error);
        EXPECT_THROW(raise(failure), std::runtime_error);
        EXPECT_THROW(raise(failure), std::exception);
        // A task that lets it pass.
        failure = failure_of([&] { raise(failure); });
    }
    EXPECT_EQ(failure->chain, (std::vector<std::string>{"g", "f", "f"}));
    // A handler for a type that is not inside is none for it.
    EXPECT_THROW(
        {
            try {
                raise(failure);
            } catch (const std::out_of_range&) {
                throw 1;
            }
        },
        Travels);
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
