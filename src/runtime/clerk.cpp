// SPDX-License-Identifier: Apache-2.0
#include "runtime/clerk.hpp"

#include <exception>
#include <utility>

#include "base/driving.hpp"
#include "base/fatal_signals.hpp"
#include "base/tsc.hpp"
#include "worker/thread_state.hpp"

namespace mobula::runtime {

namespace {

/// While chores are waiting, what was sent may wait for more of it this long.
constexpr std::uint64_t unsent_us = 20;

}  // namespace

Clerk::Clerk(std::size_t stack_bytes, std::function<void()> after)
    : stack_bytes_(stack_bytes), after_(std::move(after)) {}

Clerk::~Clerk() { end(); }

/// Whether the chore is queued now; else it is to be done at once.
bool Clerk::take_over(Chore& chore, std::deque<Chore>& queue) {
    if (ending_ || (!thread_.joinable() && !begin())) return false;
    queue.push_back(std::move(chore));
    undone_.fetch_add(1, std::memory_order_relaxed);
    return true;
}

void Clerk::give(Chore chore) {
    bool taken = false;
    {
        std::lock_guard guard(mutex_);
        taken = take_over(chore, chores_);
        if (taken) waiting_.fetch_add(1, std::memory_order_relaxed);
    }
    if (!taken) {
        const NotDriving anyway;
        return chore();
    }
    if (!helps_) hurry();
}

void Clerk::give_in_turn(Chore chore) {
    bool taken = false;
    {
        std::lock_guard guard(mutex_);
        taken = take_over(chore, in_turn_);
    }
    if (taken) return given_.notify_one();
    const NotDriving anyway;
    chore();
}

void Clerk::hurry() noexcept {
    {
        std::lock_guard guard(mutex_);
        if (chores_.empty()) return;
        hurries_ = true;
    }
    given_.notify_one();
}

void Clerk::help() {
    for (std::size_t left = waiting_.load(std::memory_order_relaxed); left != 0; --left) {
        Chore chore;
        {
            std::lock_guard guard(mutex_);
            if (chores_.empty()) return;
            chore = take(chores_);
        }
        chore();
        note_done();
    }
}

/// The lock is held.
Clerk::Chore Clerk::take(std::deque<Chore>& queue) {
    if (&queue == &chores_) waiting_.fetch_sub(1, std::memory_order_relaxed);
    Chore chore = std::move(queue.front());
    queue.pop_front();
    return chore;
}

void Clerk::note_done() noexcept {
    if (undone_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    { std::lock_guard guard(mutex_); }  // nobody is between a look at the number and its sleep
    done_.notify_all();
}

/// The lock is held.
bool Clerk::begin() noexcept {
    try {
        fiber_.emplace(
            stack_bytes_, [](void* self) { static_cast<Clerk*>(self)->work(); }, this);
        thread_ = std::thread([this] { run(); });
        return true;
    } catch (const std::exception&) {
        fiber_.reset();
        return false;
    }
}

void Clerk::run() {
    const fatal::AlternateStack for_signals;
    worker::Fiber native;
    native_ = &native;
    native.switch_to(*fiber_);
}

/// On the fiber, which never returns.
void Clerk::work() {
    worker::thread_state::end_task();  // a thread begins with what its maker had
    std::uint64_t sent_at = 0;
    std::unique_lock lock(mutex_);
    const auto any = [this] { return !in_turn_.empty() || (hurries_ && !chores_.empty()); };
    for (;;) {
        given_.wait(lock, [&] { return ending_ || any(); });
        hurries_ = hurries_ || ending_;
        if (!any()) break;
        Chore chore = take(in_turn_.empty() ? chores_ : in_turn_);
        if (chores_.empty()) hurries_ = false;
        const bool last = !any();
        lock.unlock();
        chore();
        worker::thread_state::end_task();
        const std::uint64_t now = ticks_now();
        if (last || now - sent_at > unsent_us * ticks_per_microsecond()) {
            after_();
            sent_at = now;
        }
        note_done();
        lock.lock();
    }
    lock.unlock();
    fiber_->switch_to(*native_);
}

bool Clerk::await_idle(Duration at_most) {
    std::unique_lock lock(mutex_);
    return done_.wait_for(lock, at_most, [this] { return idle(); });
}

void Clerk::end() noexcept {
    {
        std::lock_guard guard(mutex_);
        ending_ = true;
    }
    given_.notify_all();
    if (thread_.joinable()) thread_.join();
}

bool ends_by_users_code(const graph::Object& object) noexcept {
    switch (graph::state_of(object)) {
        case graph::State::ready: return !object.type->quiet;
        case graph::State::failed: return graph::failure_of(object)->cause != nullptr;
        default: return false;  // what it refers to goes by itself
    }
}

}  // namespace mobula::runtime
