// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <mutex>
#include <new>
#include <semaphore>
#include <thread>
#include <utility>

#include "worker/team.hpp"

namespace mobula::worker {

/// A task that calls a function of the test.
inline Task& make_job(std::function<void()> work) {
    using Work = std::function<void()>;
    static constexpr detail::FunctionInfo info{
        [] { return std::string("job"); },
        sizeof(Work),
        0,
        false,
        nullptr,
        [](Task&, void* place, void*) { (*static_cast<Work*>(place))(); },
        [](void*, detail::InputVisitor, void*) {},
        [](const void*, detail::Writer&) {},
        [](detail::Reader&, void*) { return false; },
        [](detail::Reader&, void*) {},
        [](void* place) noexcept { static_cast<Work*>(place)->~Work(); },
        nullptr};
    Task& task = *graph::new_task(info, 1);
    new (graph::arguments(task)) Work(std::move(work));
    return task;
}

/// A rank without other ranks: its network is a list of functions that the test sends to it.
class FakeDelegate final : public Delegate {
public:
    void execute(Task& task) noexcept override {
        task.info->run(task, graph::arguments(task), nullptr);
        graph::destroy_arguments(task);
        graph::free_task(task);
    }
    bool poll() noexcept override {
        polls.fetch_add(1);
        std::function<void()> event;
        {
            std::lock_guard guard(mutex_);
            if (events_.empty()) return false;
            event = std::move(events_.front());
            events_.pop_front();
        }
        event();
        return true;
    }
    void flush() noexcept override { flushes.fetch_add(1); }
    void sleep(Time deadline) noexcept override {
        sleeps.fetch_add(1);
        if (sleeping_.exchange(true)) std::abort();  // one thread at a time
        {
            std::unique_lock guard(mutex_);
            woken_.wait_until(guard, deadline, [this] { return wake_ || !events_.empty(); });
            wake_ = false;
        }
        sleeping_.store(false);
    }
    void wake_sleeper() noexcept override {
        std::lock_guard guard(mutex_);
        wake_ = true;
        woken_.notify_all();
    }
    void tick(Time) noexcept override {
        rusage usage{};
        getrusage(RUSAGE_THREAD, &usage);
        ticker_sleeps.store(static_cast<std::uint64_t>(usage.ru_nvcsw));
        ticks.fetch_add(1);
    }
    void idle() noexcept override { idles.fetch_add(1); }

    /// Any thread: something arrives from the network; whoever polls next runs it.
    void arrive(std::function<void()> event) {
        std::lock_guard guard(mutex_);
        events_.push_back(std::move(event));
        woken_.notify_all();
    }

    std::atomic<std::uint64_t> polls{0}, flushes{0}, sleeps{0}, ticks{0}, idles{0};
    /// How often the thread that ticks had slept by its last tick.
    std::atomic<std::uint64_t> ticker_sleeps{0};

private:
    std::mutex mutex_;
    std::condition_variable woken_;
    std::deque<std::function<void()>> events_;
    bool wake_ = false;
    std::atomic<bool> sleeping_{false};
};

inline constexpr std::chrono::seconds patience{60};

/// Waits for the semaphore; a test that waits in vain ends the program with a word.
inline void expect_soon(std::counting_semaphore<>& done, const char* what) {
    if (done.try_acquire_for(patience)) return;
    std::fprintf(stderr, "%s did not happen in time\n", what);
    std::abort();
}

/// Stacks are small, since a team has many.
inline Settings team_settings(unsigned workers,
                              std::chrono::microseconds spin = std::chrono::microseconds(0)) {
    Settings given;
    given.workers = workers;
    given.spin = spin;
    given.stack_bytes = std::size_t{128} << 10U;
    return given;
}

/// A team that runs on a thread of its own until the end of the scope.
class RunningTeam {
public:
    explicit RunningTeam(const Settings& settings) : team(settings, delegate) {
        std::counting_semaphore<> begun{0};
        thread_ = std::thread([this, &begun] {
            team.run([&begun] { begun.release(); });
            ended_.release();
        });
        expect_soon(begun, "the start of the team");
    }
    ~RunningTeam() { stop(); }
    RunningTeam(const RunningTeam&) = delete;
    RunningTeam& operator=(const RunningTeam&) = delete;

    void stop() {
        if (!thread_.joinable()) return;
        team.stop();
        expect_soon(ended_, "the end of the team");
        thread_.join();
        while (Task* const task = team.take_any()) {
            graph::destroy_arguments(*task);
            graph::free_task(*task);
        }
    }

    FakeDelegate delegate;
    Team team;

private:
    std::counting_semaphore<> ended_{0};
    std::thread thread_;
};

}  // namespace mobula::worker
