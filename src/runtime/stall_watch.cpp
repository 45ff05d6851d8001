// SPDX-License-Identifier: Apache-2.0
#include "runtime/stall_watch.hpp"

#include <cstdio>
#include <optional>
#include <utility>

#include "runtime/waiting_inputs.hpp"

namespace mobula::runtime {

StallWatch::StallWatch(const Parts& parts, double seconds,
                       std::function<void(const std::string&)> end_job)
    : network_(parts.network),
      team_(parts.team),
      clerk_(parts.clerk),
      exchange_(parts.exchange),
      waits_(parts.waits),
      actors_(parts.actors),
      resources_(parts.resources),
      seconds_(seconds),
      end_job_(std::move(end_job)) {}

bool StallWatch::moved() {
    const std::uint64_t run = team_.tasks_run();
    return std::exchange(seen_, run) != run || team_.busy() || !clerk_.idle();
}

std::vector<Waiting> StallWatch::list() const {
    std::vector<Waiting> all = waits_.list([this](Object& object) {
        const std::optional<Waiting::Target> group = resources_.target_of(object);
        return group ? *group : exchange_.target_of(object);
    });
    actors_.list(all);
    resources_.list(all);
    exchange_.list(all);
    std::vector<detail::CellPtr> waited_for = waits_.waited_for();
    for (auto& [id, cell] : exchange_.waited_for()) waited_for.push_back(std::move(cell));
    list_waiting_inputs(exchange_, std::move(waited_for), all);
    return all;
}

void StallWatch::tick(Time now) {
    if (seconds_ <= 0 || network_.self() != driver_rank) return;
    std::lock_guard guard(mutex_);
    if (moved() || team_.suspended() == 0) {
        since_ = now;
        return;
    }
    const double seconds = std::chrono::duration<double>(now - since_).count();
    if (asking_ || seconds < seconds_) return;
    asking_ = true;
    any_moves_ = false;
    answers_ = 0;
    all_.clear();
    for (std::size_t i = 1; i < network_.ranks(); ++i) {
        network_.send(static_cast<Rank>(i), wire::Stalled{});
    }
    collect(list(), false);
}

void StallWatch::on_stalled(Rank from, const wire::Stalled&) {
    std::lock_guard guard(mutex_);
    wire::Written record(wire::Waits{moved()});
    put_list(record, list());
    network_.send(from, record);
}

void StallWatch::on_waits(const wire::Waits& message, wire::RecordReader& tail) {
    std::vector<Waiting> waiting = read_list(tail);
    std::lock_guard guard(mutex_);
    if (asking_) collect(std::move(waiting), message.moves);
}

/// The lock is held.
void StallWatch::collect(std::vector<Waiting> waiting, bool moves) {
    any_moves_ = any_moves_ || moves;
    for (Waiting& one : waiting) all_.push_back(std::move(one));
    if (++answers_ < network_.ranks()) return;
    asking_ = false;
    if (!any_moves_) print();
    since_ = Clock::now();
}

void StallWatch::print() {
    const double seconds = std::chrono::duration<double>(Clock::now() - since_).count();
    name_promises(all_);
    const std::string text = print_waiting(all_, seconds);
    std::fwrite(text.data(), 1, text.size(), stderr);
    if (!end_job_) return;
    end_job_("no task made progress for " + std::to_string(static_cast<int>(seconds)) +
             " seconds (MOBULA_STALL_SECONDS), and MOBULA_STALL_ABORT is set");
}

}  // namespace mobula::runtime
