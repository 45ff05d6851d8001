// SPDX-License-Identifier: Apache-2.0

/// How a job ends, in order and otherwise.

#include <cstdio>
#include <fstream>
#include <string>

#include "base/fatal_signals.hpp"
#include "base/log.hpp"
#include "runtime/engine.hpp"
#include "runtime/running.hpp"
#include "runtime/signals.hpp"
#include "runtime/status.hpp"

namespace mobula::runtime {

using wire::Kind;
using wire::RecordWriter;

namespace {

/// How long a rank waits for rank 0 to say why the job ends before it leaves by itself.
constexpr std::chrono::seconds last_word{3};

}  // namespace

/// Nothing new begins; what waits is woken. User code that does not end is left behind.
void Engine::stop() {
    finished_.store(true);
    waits.end();
    team.stop();
    const auto wait = std::chrono::seconds(static_cast<long>(options.exit_wait_s) + 1);
    leave_after(wait, code_,
                "mobula: rank " + std::to_string(index(self())) +
                    " abandons tasks that still ran " + std::to_string(wait.count()) +
                    " s after the driver's end (MOBULA_EXIT_WAIT_S)\n");
}

int Engine::run(const std::function<int(std::string& reason)>& driver) {
    std::function<void()> first;
    if (driver) {
        first = [&] {
            worker::Frame frame;
            frame.driver = true;
            worker::Team::frame() = &frame;
            std::string reason;
            code_ = driver(reason);
            worker::Team::frame() = nullptr;
            if (broken_.load()) {  // what is said of the end stays said
                broken_said_.wait(false);
                leave(broken_code_);
            }
            for (std::size_t i = 0; i < network.ranks(); ++i) {
                const auto rank = static_cast<Rank>(i);
                if (rank != self()) network.send(rank, RecordWriter(Kind::finish));
            }
            flush();
            write_status(options.status_file, code_, reason);
            stop();
        };
    }
    watch_signals();
    fatal::add_hook(&tell_full_stack);
    fatal::install();
    team.run(first);
    fatal::uninstall();
    unwatch_signals();
    drain();
    return code_;
}

void Engine::on_finish(wire::RecordReader&) { stop(); }

/// Frees what is left: actors, and what was submitted and never ran.
void Engine::drain() {
    dispatcher.drain();
    actors.drain();
    while (Task* const task = team.take_any()) {
        if (task->foreign) dispatcher.foreign_ended(*task);
        graph::drop(*task);
    }
}

void Engine::leave(int code) noexcept {
    forwarder.fall_back();
    transport::Cluster::abandon(code);
}

/// From rank 0: it has said why, so leave at once. To rank 0: say it.
void Engine::on_broken(Rank from, wire::RecordReader& reader) {
    const int code = reader.get<int>();
    const std::string sentence(reader.text());
    if (from == driver_rank) leave(code);
    end_job(sentence, code);
}

void Engine::on_peer_lost(Rank peer, std::string_view reason) {
    if (finished_.load() || team.stopping()) {
        log::debug("a rank left early while the job ends");
        return;
    }
    end_job("rank " + std::to_string(index(peer)) + " on node " +
            network.cluster().host_names()[index(peer)] + " died (" + std::string(reason) +
            "); the job ends");
}

void Engine::on_fenced(std::string_view reason) {
    end_job("rank " + std::to_string(index(self())) + " on node " +
            network.cluster().host_names()[index(self())] + " was declared dead by the others (" +
            std::string(reason) + ")");
}

void Engine::end_job(const std::string& sentence, int code) noexcept {
    if (broken_.exchange(true)) return;
    RecordWriter record(Kind::broken);
    record.put(code).text(sentence);
    if (self() == driver_rank) {
        std::fprintf(stderr, "mobula: %s\n", sentence.c_str());
        write_status(options.status_file, code, sentence);
        for (std::size_t i = 1; i < network.ranks(); ++i) {
            network.send(static_cast<Rank>(i), record);
        }
        flush();
        broken_code_ = code;
        broken_said_.store(true);
        broken_said_.notify_all();
        // The others shall hear it before this rank's end is a death to them: tick() leaves.
        return leave_after(last_word, code);
    }
    // Rank 0 shall say it, once and with the first cause. Its goodbye, or its silence, ends this
    // rank as well.
    if (sentence.rfind("rank 0 ", 0) == 0) {
        std::fprintf(stderr, "mobula: %s\n", sentence.c_str());
        leave(1);
    }
    network.send(driver_rank, record);
    flush();
    leave_after(last_word, 1);
}

}  // namespace mobula::runtime
