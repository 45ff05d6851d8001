// SPDX-License-Identifier: Apache-2.0
#include "runtime/stall_watch.hpp"

#include <cstdio>
#include <utility>

#include "runtime/engine.hpp"
#include "runtime/waiting_inputs.hpp"

namespace mobula::runtime {

std::string waiting_key(const ObjectId& id) {
    return "object " + std::to_string(index(id.owner)) + ":" + std::to_string(id.serial);
}

bool StallWatch::moved() {
    const std::uint64_t run = engine_.team.tasks_run();
    return std::exchange(seen_, run) != run || engine_.team.busy() || !engine_.clerk.idle();
}

std::vector<Waiting> StallWatch::list() const {
    std::vector<Waiting> all = engine_.waits.list();
    engine_.actors.list(all);
    engine_.resources.list(all);
    engine_.groups.list(all);
    engine_.exchange.list(all);
    std::vector<detail::CellPtr> waited_for = engine_.waits.waited_for();
    for (auto& [id, cell] : engine_.exchange.waited_for()) waited_for.push_back(std::move(cell));
    list_waiting_inputs(engine_.exchange, std::move(waited_for), all);
    return all;
}

void StallWatch::tick(Time now) {
    if (engine_.options.stall_seconds <= 0 || engine_.self() != driver_rank) return;
    std::lock_guard guard(mutex_);
    if (moved() || engine_.team.suspended() == 0) {
        since_ = now;
        return;
    }
    const double seconds = std::chrono::duration<double>(now - since_).count();
    if (asking_ || seconds < engine_.options.stall_seconds) return;
    asking_ = true;
    any_moves_ = false;
    answers_ = 0;
    all_.clear();
    for (std::size_t i = 1; i < engine_.network.ranks(); ++i) {
        engine_.network.send(static_cast<Rank>(i), wire::Stalled{});
    }
    collect(list(), false);
}

void StallWatch::on_stalled(Rank from, const wire::Stalled&) {
    std::lock_guard guard(mutex_);
    wire::Written record(wire::Waits{moved()});
    put_list(record, list());
    engine_.network.send(from, record);
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
    if (++answers_ < engine_.network.ranks()) return;
    asking_ = false;
    if (!any_moves_) print();
    since_ = Clock::now();
}

void StallWatch::print() {
    const double seconds = std::chrono::duration<double>(Clock::now() - since_).count();
    name_promises(all_);
    const std::string text = print_waiting(all_, seconds);
    std::fwrite(text.data(), 1, text.size(), stderr);
    if (engine_.options.stall_abort) {
        engine_.end_job("no task made progress for " + std::to_string(static_cast<int>(seconds)) +
                        " seconds (MOBULA_STALL_SECONDS), and MOBULA_STALL_ABORT is set");
    }
}

}  // namespace mobula::runtime
