// SPDX-License-Identifier: Apache-2.0
/// Goal: amounts are exact and checked, nothing is given out twice, whole GPUs are exclusive.
/// Method: examples for each sentence; long random runs of a ledger against invariants; decoding
/// of every truncated and of many random byte strings.
#include "scheduler/resources.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include <mobula/error.hpp>

namespace mobula::scheduler {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Amounts, CountsTenThousandths) {
    const Amounts amounts(0.1, 0.3333, {{"disk", 2.5}});
    EXPECT_EQ(amounts.cpus(), 1000);
    EXPECT_EQ(amounts.gpus(), 3333);
    EXPECT_EQ(amounts.custom("disk"), 25000);
    EXPECT_EQ(amounts.custom("tape"), 0);
    EXPECT_TRUE(Amounts(0, 0, {{"disk", 0}}).empty());
    Amounts sum;
    for (int i = 0; i < 10; ++i) sum += Amounts(0.1, 0);
    EXPECT_EQ(sum, Amounts(1, 0));
}

TEST(Amounts, RefusesWhatIsNoAmount) {
    EXPECT_NO_THROW(Amounts(1e9, 0));
    for (const double bad : {-1.0, -0.0001, 0.00005, 1e-9, 1e10, std::nan(""), HUGE_VAL}) {
        EXPECT_THROW(Amounts(bad, 0), BadInput) << bad;
        EXPECT_THROW(Amounts(0, bad), BadInput) << bad;
        EXPECT_THROW(Amounts(0, 0, {{"disk", bad}}), BadInput) << bad;
    }
    EXPECT_THROW(Amounts(0, 1.5), BadInput);
    EXPECT_THROW(Amounts(0, 0, {{"", 1}}), BadInput);
    for (const char* name : {"gpus", "cpu", "CPU", "num_cpus", "num_gpus"}) {
        EXPECT_THROW(Amounts(0, 0, {{name, 1}}), BadInput) << name;
    }
    EXPECT_EQ(Amounts(0, 0, {{"cpus of old", 1}}).custom("cpus of old"), Amounts::one);
    EXPECT_THROW(Amounts(0, 0, {{std::string(300, 'x'), 1}}), BadInput);
    try {
        Amounts(-2, 0);
    } catch (const BadInput& bad) {
        EXPECT_STREQ(bad.what(),
                     "cpus = -2 is not allowed; an amount of a resource is a number "
                     "from 0 to 1000000000 in steps of 0.0001");
    }
}

TEST(Amounts, OfOptionsAndBundles) {
    EXPECT_EQ(Amounts::of(TaskOptions{}), Amounts(1, 0));
    EXPECT_EQ(Amounts::of(ActorOptions{}), Amounts());
    EXPECT_EQ(Amounts::of_bundle({{"cpus", 2}, {"gpus", 1}, {"disk", 3}}),
              Amounts(2, 1, {{"disk", 3}}));
    EXPECT_THROW(static_cast<void>(Amounts::of_bundle({{"CPU", 1}})), BadInput);
}

TEST(Amounts, DescribesItself) {
    EXPECT_EQ(describe(Amounts()), "nothing");
    EXPECT_EQ(describe(Amounts(2, 0.5, {{"accel", 1}})), "2 cpus, 0.5 gpus and 1 accel");
    EXPECT_EQ(describe(Amounts(1, 1, {{"gpus of old", 3}})), "1 cpu, 1 gpu and 3 gpus of old");
    EXPECT_EQ(describe(Amounts(0, 0, {{"a", 0.0001}, {"b", 1e6}})), "0.0001 a and 1000000 b");
}

TEST(Amounts, Fits) {
    const Amounts total(4, 1, {{"disk", 2}});
    EXPECT_TRUE(fits(total, Amounts()));
    EXPECT_TRUE(fits(total, total));
    EXPECT_FALSE(fits(total, Amounts(4.0001, 0)));
    EXPECT_FALSE(fits(total, Amounts(0, 2)));
    EXPECT_FALSE(fits(total, Amounts(0, 0, {{"tape", 1}})));
}

TEST(Amounts, SayWhatIsInfeasible) {
    const std::vector<Amounts> totals{Amounts(4, 2), Amounts(8, 0, {{"disk", 1}})};
    EXPECT_FALSE(infeasible(Amounts(8, 0), totals));
    EXPECT_EQ(infeasible(Amounts(1, 4, {{"tape", 1}}), totals),
              "no rank of this job has 1 cpu, 4 gpus and 1 tape at once: at most 2 gpus are on a "
              "rank and there are no tape");
    EXPECT_EQ(infeasible(Amounts(8, 1), totals),
              "no rank of this job has 8 cpus and 1 gpu at once: rank 0 has 4 cpus and 2 gpus and "
              "rank 1 has 8 cpus and 1 disk");
    const Rank first{0};
    EXPECT_THAT(*infeasible(Amounts(8, 0), totals, {&first, 1}),
                HasSubstr("rank 0 has not 8 cpus at once"));
}

std::vector<std::byte> encoded(const Amounts& amounts) {
    std::vector<std::byte> bytes;
    amounts.encode(bytes);
    return bytes;
}

TEST(Amounts, TravelAndAreNotTrusted) {
    const Amounts amounts(3, 0.25, {{"accel", 1}, {"disk", 2.5}});
    const std::vector<std::byte> bytes = encoded(amounts);
    wire::RecordReader reader(bytes);
    EXPECT_EQ(Amounts::decode(reader), amounts);
    EXPECT_TRUE(reader.rest().empty());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        wire::RecordReader cut(std::span<const std::byte>(bytes).first(size));
        EXPECT_THROW(static_cast<void>(Amounts::decode(cut)), Error) << size;
    }
    std::mt19937 random(1);
    for (int i = 0; i < 20000; ++i) {
        std::vector<std::byte> noise = bytes;
        for (int n = 0; n < 3; ++n) noise[random() % noise.size()] = std::byte(random());
        wire::RecordReader changed(noise);
        try {
            const Amounts read = Amounts::decode(changed);
            const std::vector<std::byte> again = encoded(read);
            EXPECT_TRUE(std::equal(again.begin(), again.end(), noise.begin()));
        } catch (const Error&) {
        }
    }
}

TEST(Ledger, WholeGpusAreExclusiveAndPartsShareOne) {
    Ledger ledger(Amounts(4, 3));
    const auto half = ledger.try_acquire(Amounts(0, 0.5));
    const auto other = ledger.try_acquire(Amounts(0, 0.4));
    ASSERT_TRUE(half && other);
    EXPECT_THAT(*half, ElementsAre(0));
    EXPECT_THAT(*other, ElementsAre(0));
    const auto two = ledger.try_acquire(Amounts(0, 2));
    ASSERT_TRUE(two);
    EXPECT_THAT(*two, ElementsAre(1, 2));
    EXPECT_FALSE(ledger.try_acquire(Amounts(0, 0.2)));
    EXPECT_TRUE(ledger.has(Amounts(0, 0.1)));
    ledger.release(Amounts(0, 0.5), *half);
    ledger.release(Amounts(0, 0.4), *other);
    ledger.release(Amounts(0, 2), *two);
    EXPECT_TRUE(ledger.idle());
}

TEST(Ledger, PartsOfSeveralGpusAreNotOneWhole) {
    Ledger ledger(Amounts(0, 2));
    const auto a = ledger.try_acquire(Amounts(0, 0.6));
    const auto b = ledger.try_acquire(Amounts(0, 0.6));
    ASSERT_TRUE(a && b);
    EXPECT_NE(*a, *b);
    EXPECT_FALSE(ledger.has(Amounts(0, 0.5)));  // 0.8 are free, but 0.4 on each
    EXPECT_FALSE(ledger.try_acquire(Amounts(0, 1)));
}

TEST(Ledger, OfABundleHasTheBundlesGpus) {
    Ledger whole(Amounts(1, 2), {5, 7});
    EXPECT_THAT(whole.try_acquire(Amounts(0, 1)).value(), ElementsAre(5));
    EXPECT_THAT(whole.try_acquire(Amounts(1, 1)).value(), ElementsAre(7));
    Ledger part(Amounts(0, 0.5), {3});
    EXPECT_FALSE(part.has(Amounts(0, 0.6)));
    EXPECT_THAT(part.try_acquire(Amounts(0, 0.5)).value(), ElementsAre(3));
    EXPECT_FALSE(part.has(Amounts(0, 0.0001)));
}

TEST(Ledger, AWaitingTaskLendsItsCpus) {
    Ledger ledger(Amounts(2, 0));
    const Amounts both(2, 0);
    ASSERT_TRUE(ledger.try_acquire(both));
    EXPECT_FALSE(ledger.has(both));
    ledger.lend_cpus(both);
    ASSERT_TRUE(ledger.try_acquire(both));  // its child
    ledger.take_back_cpus(both);            // goes on before the child has ended
    EXPECT_EQ(ledger.free().cpus(), -2 * Amounts::one);
    EXPECT_FALSE(ledger.has(Amounts(0.0001, 0)));
    EXPECT_TRUE(ledger.has(Amounts()));
    ledger.release(both, {});
    ledger.release(both, {});
    EXPECT_TRUE(ledger.idle());
}

using Held = std::vector<std::pair<Amounts, std::vector<unsigned>>>;

/// What is wrong with a ledger that has given out just this; empty if nothing is.
std::string complaint(const Ledger& ledger, const Held& held) {
    Amounts sum;
    std::map<unsigned, std::int64_t> load;
    for (const auto& [demand, gpus] : held) {
        sum += demand;
        for (const unsigned gpu : gpus) load[gpu] += std::min(demand.gpus(), Amounts::one);
    }
    if (!fits(ledger.total(), sum)) return "more is given than there is";
    const auto gpus = static_cast<std::size_t>(ledger.total().gpus() / Amounts::one);
    for (const auto& [gpu, used] : load) {
        if (gpu >= gpus) return "there is no such GPU";
        if (used > Amounts::one) return "a GPU is given twice";
    }
    sum += ledger.free();
    return sum == ledger.total() ? "" : "given and free are not all there is";
}

/// Every order of so many more events: each demand, and the end of each that is held.
void every_order(const Ledger& ledger, const Held& held, int events, std::size_t& seen) {
    static const Amounts demands[]{Amounts(1, 0), Amounts(0.5, 0.5), Amounts(0, 1), Amounts(0, 2),
                                   Amounts(2, 0.5)};
    ASSERT_EQ(complaint(ledger, held), "");
    ++seen;
    if (held.empty()) {
        ASSERT_TRUE(ledger.idle() && ledger.has(ledger.total()));
    }
    if (events == 0) return;
    for (const Amounts& demand : demands) {
        Ledger next = ledger;
        auto gpus = next.try_acquire(demand);
        ASSERT_EQ(gpus.has_value(), ledger.has(demand));
        if (!gpus) continue;
        Held more = held;
        more.emplace_back(demand, *gpus);
        every_order(next, more, events - 1, seen);
        if (testing::Test::HasFatalFailure()) return;
    }
    for (std::size_t i = 0; i < held.size(); ++i) {
        Ledger next = ledger;
        next.release(held[i].first, held[i].second);
        Held less = held;
        less.erase(less.begin() + static_cast<std::ptrdiff_t>(i));
        every_order(next, less, events - 1, seen);
        if (testing::Test::HasFatalFailure()) return;
    }
}

TEST(Ledger, CountsRightInEveryOrderOfTakingAndGivingBack) {
    std::size_t seen = 0;
    every_order(Ledger(Amounts(2, 2)), {}, 6, seen);
    EXPECT_GT(seen, 5000U);
}

TEST(Ledger, NeverGivesMoreThanThereIs) {
    std::mt19937 random(7);
    const Amounts total(8, 4, {{"disk", 3}});
    for (int run = 0; run < 20; ++run) {
        Ledger ledger(total);
        Held held;
        for (int step = 0; step < 2000; ++step) {
            if (!held.empty() && random() % 2 == 0) {
                const std::size_t which = random() % held.size();
                ledger.release(held[which].first, held[which].second);
                held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
            } else {
                const double gpus[] = {0, 0, 0.25, 0.5, 1, 2};
                const Amounts demand(random() % 4 * 0.5, gpus[random() % 6],
                                     {{"disk", random() % 2 * 0.5}});
                const bool expected = ledger.has(demand);
                auto got = ledger.try_acquire(demand);
                ASSERT_EQ(got.has_value(), expected);
                if (got) held.emplace_back(demand, std::move(*got));
            }
            ASSERT_EQ(complaint(ledger, held), "");
        }
    }
}

}  // namespace
}  // namespace mobula::scheduler
