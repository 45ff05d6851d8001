// SPDX-License-Identifier: Apache-2.0
#include "runtime/forwarder.hpp"

#include <algorithm>

#include <mobula/error.hpp>

#include "base/tsc.hpp"
#include "runtime/frame.hpp"

namespace mobula::runtime {

void Forwarder::begin() {
    capture_.emplace([this](std::string_view line) { send(line); });
}

void Forwarder::end() { capture_.reset(); }

void Forwarder::fall_back() noexcept {
    if (capture_) capture_->fall_back();
}

void Forwarder::send(std::string_view line) {
    network_.send(driver_rank, wire::Output{line});
    sent_.fetch_add(1);
    network_.wake_sleeper();  // somebody asleep shall hand it to the network
}

/// Whether the calling task has run for so long that a look at the pipe costs little beside it.
static bool ran_long() noexcept {
    const worker::Frame* const frame = worker::Team::frame();
    if (frame == nullptr) return false;
    const auto noticed = static_cast<std::uint64_t>(Forwarder::noticed_after.count());
    return ticks_now() - frame->started >= noticed * ticks_per_microsecond();
}

void Forwarder::settle(std::optional<Rank> reader) noexcept {
    if (!capture_) return;
    if (capture_->anything_new(ran_long())) capture_->flush();
    if (reader == driver_rank || printed_.load() == sent_.load()) return;
    try {
        await_terminal();
    } catch (const Error&) {
        // Too many wait already, the task was cancelled or the job ends: its lines come when they
        // do.
    }
}

void Forwarder::await_terminal() {
    Gathering gathering(team_, 1);
    const std::uint64_t lines = sent_.load();
    std::uint64_t number = 0;
    {
        std::lock_guard guard(mutex_);
        number = next_question_++;
        questions_.emplace(number, &gathering);
    }
    network_.send(driver_rank, wire::AskOutput{number});
    waits_.sleep(gathering, {}, std::nullopt);
    {
        std::lock_guard guard(mutex_);
        questions_.erase(number);
    }
    if (!gathering.arrived()) return;
    std::uint64_t known = printed_.load();
    while (known < lines && !printed_.compare_exchange_weak(known, lines)) {
    }
}

void Forwarder::on_ask(Rank from, const wire::AskOutput& message) {
    network_.send(from, wire::OutputDone{message.question});
}

void Forwarder::on_answer(const wire::OutputDone& message) {
    std::lock_guard guard(mutex_);
    const auto found = questions_.find(message.question);
    if (found == questions_.end()) return;  // it was cancelled, or the job ends
    found->second->arrive();
    questions_.erase(found);
}

}  // namespace mobula::runtime
