// SPDX-License-Identifier: Apache-2.0

// Goal: a task is ready exactly once, whenever and wherever its inputs arrive; failures of inputs
// are found and passed on; scopes tell children of a cancelled parent. Method: every order of
// arrival, before and after the task begins to wait, then arrivals from threads, then random graphs
// that are built while they run.

#include "graph/task.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include <mobula/archive.hpp>

#include "support/small_engine.hpp"

namespace mobula::graph {
namespace {

constexpr std::size_t inputs = 4;

struct Arguments {
    std::array<Input, inputs> input;
};

const detail::TypeInfo* const result_types[]{&detail::type_info<int>, &detail::type_info<int>};

const FunctionInfo info{[] { return std::string("join"); },
                        sizeof(Arguments),
                        2,
                        false,
                        result_types,
                        [](detail::Task&, void*, void*) {},
                        [](void* place, detail::InputVisitor visitor, void* context) {
                            for (Input& input : static_cast<Arguments*>(place)->input)
                                visitor(input, context);
                        },
                        [](const void*, detail::Writer&) {},
                        [](detail::Reader&, void*) { return false; },
                        [](detail::Reader&, void*) {},
                        [](void* place) noexcept {
                            for (const Input& input : static_cast<Arguments*>(place)->input)
                                CellPtr{input.cell};
                        },
                        nullptr};

std::atomic<int> made_ready{0};

void no_other_rank(Object&, bool, void*) { FAIL() << "no other rank knows the object"; }

const InputEvents events([](Task&, void*) noexcept { made_ready.fetch_add(1); }, no_other_rank,
                         nullptr);

/// A task and the objects that it waits for.
struct Case {
    Case() {
        new (arguments(task)) Arguments;
        for (std::size_t i = 0; i < inputs; ++i) {
            objects[i] = new_object(2);
            static_cast<Arguments*>(arguments(task))->input[i].cell = objects[i];
        }
    }
    ~Case() {
        for (Object* object : objects) CellPtr{object};
        for (std::uint32_t i = 0; i < 2; ++i) CellPtr{task.results(i)};
        destroy_arguments(task);
        free_task(task);
    }
    Case(const Case&) = delete;
    Case& operator=(const Case&) = delete;

    Task& task = *new_task(info, 2);
    std::array<Object*, inputs> objects{};
};

void finish(Object& object) {
    new (make_place(object, detail::type_info<int>)) int(1);
    complete(object);
}

void fail_with(Object& object, const char* message) {
    auto failure = std::make_shared<Failure>();
    failure->message = message;
    failure->function = "source";
    fail(object, failure);
}

TEST(tasks, are_ready_once_in_every_order_of_arrival) {
    std::array<std::size_t, inputs> order{0, 1, 2, 3};
    do {
        for (std::size_t before = 0; before <= inputs; ++before) {
            made_ready = 0;
            Case each;
            for (std::size_t i = 0; i < before; ++i) finish(*each.objects[order[i]]);
            EXPECT_EQ(await_inputs(each.task, false, events), before == inputs);
            for (std::size_t i = before; i < inputs; ++i) {
                EXPECT_EQ(made_ready.load(), 0);
                finish(*each.objects[order[i]]);
            }
            EXPECT_EQ(made_ready.load(), before == inputs ? 0 : 1);
        }
    } while (std::next_permutation(order.begin(), order.end()));
}

TEST(tasks, wait_for_existence_first_and_for_bytes_then) {
    made_ready = 0;
    Case each;
    for (Object* object : each.objects) static_cast<void>(locate(*object));
    EXPECT_TRUE(await_inputs(each.task, false, events));
    EXPECT_FALSE(await_inputs(each.task, true, events));
    for (Object* object : each.objects) fail_with(*object, "lost");
    EXPECT_EQ(made_ready.load(), 1);
}

TEST(tasks, an_input_that_comes_twice_counts_twice) {
    made_ready = 0;
    Case each;
    auto& input = static_cast<Arguments*>(arguments(each.task))->input;
    CellPtr{input[1].cell};
    input[1].cell = CellPtr::share(*each.objects[0]).release();
    EXPECT_FALSE(await_inputs(each.task, false, events));
    finish(*each.objects[2]);
    finish(*each.objects[3]);
    EXPECT_EQ(made_ready.load(), 0);
    finish(*each.objects[0]);
    EXPECT_EQ(made_ready.load(), 1);
}

TEST(tasks, are_ready_once_when_threads_race) {
    for (int round = 0; round < 500; ++round) {
        made_ready = 0;
        Case each;
        std::atomic<bool> go{false};
        std::vector<std::thread> threads;
        for (Object* object : each.objects) {
            threads.emplace_back([&go, object] {
                while (!go.load()) std::this_thread::yield();
                finish(*object);
            });
        }
        go = true;
        const bool at_once = await_inputs(each.task, false, events);
        for (std::thread& thread : threads) thread.join();
        ASSERT_EQ(made_ready.load() + (at_once ? 1 : 0), 1);
    }
}

/// A task of a random graph: which one it is, and up to four results of earlier ones.
struct Step {
    std::size_t number = 0;
    std::vector<Input> input;
};
struct RandomGraph {
    std::vector<Task*> ready;
    std::vector<int> runs;
};
RandomGraph* graph = nullptr;

const FunctionInfo step_info{[] { return std::string("step"); },
                             sizeof(Step),
                             1,
                             false,
                             result_types,
                             [](detail::Task&, void*, void*) {},
                             [](void* place, detail::InputVisitor visitor, void* context) {
                                 for (Input& input : static_cast<Step*>(place)->input)
                                     visitor(input, context);
                             },
                             [](const void*, detail::Writer&) {},
                             [](detail::Reader&, void*) { return false; },
                             [](detail::Reader&, void*) {},
                             [](void* place) noexcept {
                                 for (const Input& input : static_cast<Step*>(place)->input)
                                     CellPtr{input.cell};
                                 static_cast<Step*>(place)->~Step();
                             },
                             nullptr};

const InputEvents step_events([](Task& task, void*) noexcept { graph->ready.push_back(&task); },
                              no_other_rank, nullptr);

/// One of the ready tasks runs, when all its inputs are there, and is freed.
void run_one(std::size_t which) {
    Task& task = *graph->ready[which];
    graph->ready[which] = graph->ready.back();
    graph->ready.pop_back();
    auto& step = *static_cast<Step*>(arguments(task));
    for (const Input& input : step.input) {
        ASSERT_EQ(state_of(Object::of(*input.cell)), State::ready) << "an input is not there";
    }
    ++graph->runs[step.number];
    finish(*task.result);
    destroy_arguments(task);
    free_task(task);
}

TEST(tasks, of_random_graphs_run_once_after_their_inputs_and_leave_nothing) {
    constexpr std::size_t steps = 400;
    for (unsigned seed = 0; seed < 50; ++seed) {
        std::mt19937 random(seed);
        RandomGraph all;
        graph = &all;
        all.runs.resize(steps);
        const std::uint64_t disposed_before = test::objects_disposed;
        std::vector<CellPtr> refs(steps);  // of which the caller drops many while tasks wait
        for (std::size_t number = 0; number < steps; ++number) {
            Task& task = *new_task(step_info, 2);
            auto& step = *new (arguments(task)) Step{number, {}};
            std::vector<CellPtr*> living;
            for (CellPtr& ref : refs) {
                if (ref) living.push_back(&ref);
            }
            step.input.resize(living.empty() ? 0 : random() % 5);
            for (Input& input : step.input) {
                input.cell = CellPtr(*living[random() % living.size()]).release();
            }
            refs[number] = CellPtr(task.result);
            if (await_inputs(task, false, step_events)) all.ready.push_back(&task);
            if (random() % 2 == 0) refs[random() % (number + 1)] = {};
            while (!all.ready.empty() && random() % 2 == 0) run_one(random() % all.ready.size());
        }
        while (!all.ready.empty()) run_one(random() % all.ready.size());
        for (const int runs : all.runs) ASSERT_EQ(runs, 1) << "seed " << seed;
        std::uint64_t kept = 0;
        for (const CellPtr& ref : refs) kept += ref ? 1 : 0;
        ASSERT_EQ(test::objects_disposed - disposed_before, steps - kept) << "seed " << seed;
        refs.clear();
        ASSERT_EQ(test::objects_disposed - disposed_before, steps) << "seed " << seed;
    }
}

TEST(tasks, find_the_failure_of_an_input) {
    for (std::size_t which = 0; which < inputs; ++which) {
        Case each;
        EXPECT_EQ(failed_input(each.task), nullptr);
        for (std::size_t i = 0; i < inputs; ++i) {
            if (i == which) {
                fail_with(*each.objects[i], "broken");
            } else {
                finish(*each.objects[i]);
            }
        }
        const FailurePtr failure = failed_input(each.task);
        ASSERT_NE(failure, nullptr);
        EXPECT_EQ(failure->message, "broken");
        EXPECT_EQ(failure_passed_on(*failure, "join")->chain, std::vector<std::string>{"join"});
    }
}

TEST(tasks, free_their_objects_with_the_last_reference) {
    const std::uint64_t before = test::objects_disposed.load();
    { const Case each; }
    EXPECT_EQ(test::objects_disposed.load() - before, inputs + 2);
}

TEST(tasks, advance_unless_they_are_over) {
    Case each;
    EXPECT_TRUE(each.task.advance(Task::Phase::queued));
    each.task.phase = Task::Phase::over;
    EXPECT_FALSE(each.task.advance(Task::Phase::running));
    EXPECT_EQ(each.task.phase.load(), Task::Phase::over);
}

TEST(scopes, a_cancelled_parent_cancels_all_below_and_nothing_above) {
    auto* const root = new Scope(nullptr);
    auto* const middle = new Scope(root);
    auto* const leaf = new Scope(middle);
    auto* const sibling = new Scope(root);
    middle->cancel();
    EXPECT_FALSE(root->cancelled());
    EXPECT_TRUE(middle->cancelled());
    EXPECT_TRUE(leaf->cancelled());
    EXPECT_FALSE(sibling->cancelled());
    // The leaf keeps its parents alive.
    Scope::release(root);
    Scope::release(middle);
    EXPECT_TRUE(leaf->cancelled());
    Scope::release(leaf);
    Scope::release(sibling);
    Scope::release(nullptr);
}

TEST(scopes, a_long_chain_ends_without_a_deep_stack) {
    Scope* scope = new Scope(nullptr);
    for (int i = 0; i < 200000; ++i) {
        auto* const child = new Scope(scope);
        Scope::release(scope);
        scope = child;
    }
    Scope::release(scope);
}

}  // namespace
}  // namespace mobula::graph
