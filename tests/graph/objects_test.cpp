// SPDX-License-Identifier: Apache-2.0

// Goal: an object tells each of its waiters once, in the order in which they came, and none before
// what it waits for is so; it may be told twice that it is done; its value is made and destroyed
// once. Method: every legal order of small sets of events against a plain model of the object, then
// the same events from several threads.

#include "graph/object.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <mobula/archive.hpp>
#include <mobula/error.hpp>

namespace mobula::graph {
namespace {

/// Counts its instances, and travels through cereal.
struct Tracked {
    static inline std::atomic<int> alive{0};
    int number = 0;

    Tracked() { ++alive; }
    explicit Tracked(int n) : number(n) { ++alive; }
    Tracked(Tracked&& other) noexcept : number(other.number) { ++alive; }
    ~Tracked() { --alive; }
    template <class Archive>
    void serialize(Archive& archive) {
        archive(number);
        if (number < 0) throw std::runtime_error("a negative number");
    }
};

const TypeInfo& type = detail::type_info<Tracked>;

std::unique_ptr<Encoded> encoded_number(int number) {
    detail::Writer writer;
    writer.raw(number);
    auto encoded = std::make_unique<Encoded>();
    encoded->stream = writer.stream().copy();
    return encoded;
}

FailurePtr some_failure() {
    auto failure = std::make_shared<Failure>();
    failure->message = "no luck";
    failure->function = "f";
    return failure;
}

enum class Event : std::uint8_t {
    complete,  ///< in place
    encode,    ///< complete with an encoded value
    locate,
    fail,
    read,  ///< value_of
    add_0,
    add_1,
    add_2,
    remove_0,
    remove_1,
    remove_2,
};
constexpr std::size_t waiters_max = 3;

struct Node : Waiter {
    std::vector<int>* log = nullptr;
    int number = 0;
};

/// What the object must do, in its simplest form.
struct Model {
    State state = State::pending;
    std::vector<int> waiting;
    std::array<bool, waiters_max> added{}, gone{};
    std::vector<int> log;

    void done(State next, const std::array<bool, waiters_max>& needs) {
        state = next;
        std::vector<int> kept;
        for (const int waiter : waiting) {
            const bool fires = is_here(next) || !needs[static_cast<std::size_t>(waiter)];
            (fires ? log : kept).push_back(waiter);
        }
        waiting = kept;
    }
    [[nodiscard]] bool legal(Event event) const {
        switch (event) {
            case Event::complete: return state == State::pending;
            case Event::read: return is_here(state);
            case Event::add_0:
            case Event::add_1:
            case Event::add_2: {
                return !added[static_cast<std::size_t>(event) -
                              static_cast<std::size_t>(Event::add_0)];
            }
            case Event::remove_0:
            case Event::remove_1:
            case Event::remove_2: {
                const auto which =
                    static_cast<std::size_t>(event) - static_cast<std::size_t>(Event::remove_0);
                return added[which] && !gone[which];
            }
            default: return true;
        }
    }
};

/// The object and its model side by side.
class Pair {
public:
    explicit Pair(const std::array<bool, waiters_max>& needs) : needs_(needs) {
        for (std::size_t i = 0; i < waiters_max; ++i) {
            nodes_[i].log = &log_;
            nodes_[i].number = static_cast<int>(i);
            nodes_[i].needs_value = needs[i];
            static constexpr detail::WaiterEvents events{[](Waiter& waiter) noexcept {
                auto& node = static_cast<Node&>(waiter);
                node.log->push_back(node.number);
            }};
            nodes_[i].events = &events;
        }
    }
    ~Pair() {
        for (Node& node : nodes_) remove_waiter(*object_, node);
        free_object(object_);
    }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;

    [[nodiscard]] bool legal(Event event) const { return model_.legal(event); }

    void apply(Event event) {
        const auto number = static_cast<std::size_t>(event);
        switch (event) {
            case Event::complete:
                new (make_place(*object_, type)) Tracked(7);
                complete(*object_);
                model_.done(State::ready, needs_);
                break;
            case Event::encode:
                complete(*object_, encoded_number(7).release());
                if (!is_here(model_.state)) model_.done(State::encoded, needs_);
                break;
            case Event::locate: {
                const bool wanted = locate(*object_);
                const bool first = model_.state == State::pending;
                if (first) model_.done(State::located, needs_);
                EXPECT_EQ(wanted, first && !model_.waiting.empty());
                break;
            }
            case Event::fail:
                fail(*object_, some_failure());
                if (!is_here(model_.state)) model_.done(State::failed, needs_);
                break;
            case Event::read: read(); break;
            case Event::add_0:
            case Event::add_1:
            case Event::add_2: {
                const std::size_t which = number - static_cast<std::size_t>(Event::add_0);
                const bool satisfied =
                    needs_[which] ? is_here(model_.state) : is_done(model_.state);
                EXPECT_EQ(add_waiter(*object_, nodes_[which]), !satisfied);
                model_.added[which] = true;
                if (!satisfied) model_.waiting.push_back(static_cast<int>(which));
                break;
            }
            case Event::remove_0:
            case Event::remove_1:
            case Event::remove_2: {
                const std::size_t which = number - static_cast<std::size_t>(Event::remove_0);
                const auto at = std::find(model_.waiting.begin(), model_.waiting.end(),
                                          static_cast<int>(which));
                EXPECT_EQ(remove_waiter(*object_, nodes_[which]), at != model_.waiting.end());
                if (at != model_.waiting.end()) model_.waiting.erase(at);
                model_.gone[which] = true;
                break;
            }
        }
    }
    [[nodiscard]] bool agree() const {
        return log_ == model_.log && state_of(*object_) == model_.state;
    }

private:
    void read() {
        if (model_.state == State::failed) {
            EXPECT_THROW(static_cast<void>(value_of(*object_, type)), TaskError);
            return;
        }
        EXPECT_EQ(static_cast<Tracked*>(value_of(*object_, type))->number, 7);
        model_.state = State::ready;
    }

    std::array<bool, waiters_max> needs_;
    std::array<Node, waiters_max> nodes_;
    std::vector<int> log_;
    Model model_;
    Object* object_ = new_object(1);
};

/// Tries all orders of all the events given in which each comes when it is legal.
class Orders {
public:
    Orders(std::vector<Event> events, std::array<bool, waiters_max> needs)
        : events_(std::move(events)), needs_(needs), used_(events_.size(), false) {}

    std::size_t run() {
        extend();
        return tried_;
    }

private:
    void extend() {
        if (testing::Test::HasFailure()) return;
        bool longer = false;
        for (std::size_t i = 0; i < events_.size(); ++i) {
            // Of equal events only the first unused is tried.
            if (used_[i] || (i > 0 && events_[i] == events_[i - 1] && !used_[i - 1])) continue;
            if (!replay_legal(events_[i])) continue;
            longer = true;
            used_[i] = true;
            order_.push_back(events_[i]);
            extend();
            order_.pop_back();
            used_[i] = false;
        }
        if (!longer) replay_all();
    }
    bool replay_legal(Event next) const {
        Pair pair(needs_);
        for (const Event event : order_) pair.apply(event);
        return pair.legal(next);
    }
    void replay_all() {
        ++tried_;
        {
            Pair pair(needs_);
            for (const Event event : order_) {
                pair.apply(event);
                EXPECT_TRUE(pair.agree());
            }
        }
        EXPECT_EQ(Tracked::alive.load(), 0);
        if (testing::Test::HasFailure()) {
            std::string text;
            for (const Event event : order_) {
                text += ' ' + std::to_string(static_cast<int>(event));
            }
            ADD_FAILURE() << "in the order" << text;
        }
    }

    std::vector<Event> events_;
    std::array<bool, waiters_max> needs_;
    std::vector<bool> used_;
    std::vector<Event> order_;
    std::size_t tried_ = 0;
};

/// The sets of ways to be done that an object can meet; doing it twice is one of them.
const std::vector<std::vector<Event>> endings{
    {Event::complete},
    {Event::complete, Event::fail},
    {Event::encode, Event::encode},
    {Event::locate, Event::encode},
    {Event::locate, Event::fail},
    {Event::encode, Event::locate, Event::fail},
};

TEST(objects, every_order_of_two_waiters_that_come_and_go) {
    std::size_t tried = 0;
    for (const std::vector<Event>& ending : endings) {
        for (unsigned needs = 0; needs < 4; ++needs) {
            std::vector<Event> events = ending;
            events.insert(events.end(), {Event::add_0, Event::add_1, Event::remove_0});
            if (ending.size() < 3) events.push_back(Event::remove_1);
            tried += Orders(events, {(needs & 1U) != 0, (needs & 2U) != 0, false}).run();
        }
    }
    EXPECT_GT(tried, 3000U);
}

TEST(objects, every_order_of_three_waiters) {
    std::size_t tried = 0;
    for (const std::vector<Event>& ending : endings) {
        for (unsigned needs = 0; needs < 8; ++needs) {
            std::vector<Event> events = ending;
            events.insert(events.end(), {Event::add_0, Event::add_1, Event::add_2});
            const std::array<bool, waiters_max> wants{(needs & 1U) != 0, (needs & 2U) != 0,
                                                      (needs & 4U) != 0};
            tried += Orders(events, wants).run();
        }
    }
    EXPECT_GT(tried, 5000U);
}

TEST(objects, every_order_with_reading) {
    std::size_t tried = 0;
    for (const std::vector<Event>& ending : endings) {
        for (unsigned needs = 0; needs < 2; ++needs) {
            std::vector<Event> events = ending;
            events.insert(events.end(), {Event::read, Event::read, Event::add_0, Event::remove_0});
            tried += Orders(events, {needs != 0, false, false}).run();
        }
    }
    EXPECT_GT(tried, 300U);
}

TEST(objects, a_value_that_cannot_be_decoded_fails_the_object) {
    for (const bool truncated : {true, false}) {
        Object* const object = new_object(1);
        auto encoded = encoded_number(-1);
        if (truncated) encoded->stream.resize(2);
        complete(*object, encoded.release());
        for (int reads = 0; reads < 2; ++reads) {
            EXPECT_THROW(static_cast<void>(value_of(*object, type)), TaskError);
        }
        EXPECT_EQ(state_of(*object), State::failed);
        EXPECT_EQ(copy_encoded(*object), nullptr);
        free_object(object);
        EXPECT_EQ(Tracked::alive.load(), 0);
    }
}

TEST(objects, an_encoded_form_can_be_copied_until_it_is_read) {
    Object* const object = new_object(1);
    EXPECT_EQ(copy_encoded(*object), nullptr);
    complete(*object, encoded_number(3).release());
    ASSERT_NE(copy_encoded(*object), nullptr);
    EXPECT_EQ(copy_encoded(*object)->stream.size(), sizeof(int));
    EXPECT_EQ(static_cast<Tracked*>(value_of(*object, type))->number, 3);
    EXPECT_EQ(copy_encoded(*object), nullptr);
    free_object(object);
}

struct alignas(64) Wide {
    double numbers[16] = {};
};

template <class T>
void put_and_free() {
    Object* const object = new_object(1);
    void* const place = make_place(*object, detail::type_info<T>);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(place) % alignof(T), 0U);
    new (place) T{};
    complete(*object);
    EXPECT_EQ(value_of(*object, detail::type_info<T>), place);
    free_object(object);
}

TEST(objects, places_are_large_and_aligned_enough) {
    put_and_free<char>();
    put_and_free<std::array<char, 16>>();
    put_and_free<std::array<char, 17>>();
    put_and_free<std::array<double, 1000>>();
    put_and_free<std::string>();
    put_and_free<Wide>();
    Object* const object = new_object(1);
    static_cast<void>(make_place(*object, detail::type_info<Wide>));
    drop_place(*object);
    free_object(object);
}

// As after put() of a value whose constructor threw; a sanitizer sees what is left.
TEST(objects, a_place_without_a_value_goes_with_the_object) {
    Object* const object = new_object(1);
    static_cast<void>(make_place(*object, detail::type_info<Wide>));
    free_object(object);
}

/// A waiter that other threads fire.
struct Counted : Waiter {
    std::atomic<int> fired{0};
};

TEST(objects, threads_add_and_remove_waiters_while_others_end_the_object) {
    constexpr int rounds = 300;
    constexpr std::size_t adders = 2, each = 8;
    for (int round = 0; round < rounds; ++round) {
        Object* const object = new_object(1);
        std::vector<Counted> waiters(adders * each);
        std::vector<int> outcome(waiters.size(), 0);  // added, removed
        std::atomic<bool> go{false};
        std::vector<std::thread> threads;
        for (std::size_t a = 0; a < adders; ++a) {
            threads.emplace_back([&, a] {
                while (!go.load()) std::this_thread::yield();
                for (std::size_t i = a * each; i < (a + 1) * each; ++i) {
                    waiters[i].needs_value = i % 2 == 0;
                    static constexpr detail::WaiterEvents events{[](Waiter& waiter) noexcept {
                        static_cast<Counted&>(waiter).fired.fetch_add(1);
                    }};
                    waiters[i].events = &events;
                    if (!add_waiter(*object, waiters[i])) continue;
                    outcome[i] = 1;
                    if (i % 3 == 0 && remove_waiter(*object, waiters[i])) outcome[i] = 2;
                }
            });
        }
        threads.emplace_back([&] {
            while (!go.load()) std::this_thread::yield();
            static_cast<void>(locate(*object));
            complete(*object, encoded_number(5).release());
        });
        threads.emplace_back([&] {
            while (!go.load()) std::this_thread::yield();
            fail(*object, some_failure());
        });
        go = true;
        for (std::thread& thread : threads) thread.join();
        for (std::size_t i = 0; i < waiters.size(); ++i) {
            ASSERT_EQ(waiters[i].fired.load(), outcome[i] == 1 ? 1 : 0) << "waiter " << i;
        }
        ASSERT_TRUE(is_here(state_of(*object)));
        free_object(object);
    }
}

TEST(objects, threads_that_read_an_encoded_value_see_one_and_the_same) {
    for (int round = 0; round < 300; ++round) {
        Object* const object = new_object(1);
        complete(*object, encoded_number(9).release());
        std::array<void*, 4> seen{};
        std::vector<std::thread> threads;
        for (void*& place : seen) {
            threads.emplace_back([&place, object] { place = value_of(*object, type); });
        }
        for (std::thread& thread : threads) thread.join();
        EXPECT_EQ(Tracked::alive.load(), 1);
        for (const void* place : seen) ASSERT_EQ(place, seen[0]);
        EXPECT_EQ(static_cast<Tracked*>(seen[0])->number, 9);
        free_object(object);
    }
    EXPECT_EQ(Tracked::alive.load(), 0);
}

}  // namespace
}  // namespace mobula::graph
