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

void Clerk::give(Chore chore) {
    {
        std::lock_guard guard(mutex_);
        if (!ending_ && (thread_.joinable() || begin())) {
            chores_.push_back(std::exchange(chore, nullptr));
            undone_.fetch_add(1, std::memory_order_relaxed);
        }
    }
    if (chore) {
        const NotDriving anyway;
        return chore();
    }
    given_.notify_one();
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
    for (;;) {
        given_.wait(lock, [this] { return ending_ || !chores_.empty(); });
        if (chores_.empty()) break;
        Chore chore = std::move(chores_.front());
        chores_.pop_front();
        const bool last = chores_.empty();
        lock.unlock();
        chore();
        worker::thread_state::end_task();
        const std::uint64_t now = ticks_now();
        if (last || now - sent_at > unsent_us * ticks_per_microsecond()) {
            after_();
            sent_at = now;
        }
        lock.lock();
        if (undone_.fetch_sub(1, std::memory_order_release) == 1) done_.notify_all();
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
