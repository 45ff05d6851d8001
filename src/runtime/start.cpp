// SPDX-License-Identifier: Apache-2.0

/// From main() to the engine and back.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <mobula/error.hpp>
#include <mobula/job.hpp>

#include "base/log.hpp"
#include "graph/failure.hpp"
#include "native/devices.hpp"
#include "native/file.hpp"
#include "native/launcher.hpp"
#include "runtime/engine.hpp"
#include "runtime/introduce.hpp"
#include "runtime/run_folder.hpp"
#include "runtime/start_limit.hpp"
#include "runtime/status.hpp"
#include "worker/watchers.hpp"

namespace mobula {
namespace {

using runtime::Engine;
using runtime::Options;

constexpr int failed = 1;
using runtime::bad_input;

/// Longer than an answer of a rank that is awake takes, shorter than putting a thread to sleep and
/// waking it costs a few times.
constexpr std::int64_t spin_us_default = 20;

/// What a rank tells the others when they meet.
std::vector<std::byte> hello(const Options& options, const native::Devices& devices,
                             const runtime::FunctionTable& functions) {
    wire::RecordWriter writer;
    writer.put(functions.digest()).put(options.workers).put(options.gpus);
    writer.text(devices.encode());
    scheduler::Amounts(0, 0, options.resources).encode(writer);
    return {writer.span().begin(), writer.span().end()};
}

/// Who the others are, from what they said; `devices` gets what each was given. Ranks that were
/// given the same CPUs or GPUs divide them here, all with the same result.
std::vector<runtime::Peer> read_hellos(transport::Cluster& cluster,
                                       const runtime::FunctionTable& functions,
                                       std::vector<native::Devices>& devices) {
    std::vector<unsigned> wanted;
    std::vector<std::int64_t> gpus;
    std::vector<runtime::Peer> peers(cluster.ranks());
    for (std::size_t rank = 0; rank < cluster.ranks(); ++rank) {
        wire::RecordReader reader(cluster.hellos()[rank]);
        if (reader.get<std::uint64_t>() != functions.digest()) {
            throw BadInput(
                "rank " + std::to_string(rank) + " on node " + cluster.host_names()[rank] +
                " runs another build of this program or of mobula than rank " +
                std::to_string(index(cluster.self())) + "; all ranks must run the same executable");
        }
        wanted.push_back(reader.get<unsigned>());
        gpus.push_back(reader.get<std::int64_t>());
        devices.push_back(native::Devices::decode(reader.text()));
        peers[rank].resources = scheduler::Amounts::decode(reader);
    }
    const std::vector<native::Share> shares =
        native::share_devices(devices, cluster.nodes(), wanted);
    for (std::size_t rank = 0; rank < peers.size(); ++rank) {
        runtime::Peer& peer = peers[rank];
        peer.workers = shares[rank].workers;
        peer.crowded = shares[rank].crowded;
        peer.workers_per_cpu = shares[rank].workers_per_cpu;
        peer.gpus = shares[rank].gpus;
        if (gpus[rank] >= 0) {
            peer.gpus.resize(static_cast<std::size_t>(gpus[rank]));
            std::iota(peer.gpus.begin(), peer.gpus.end(), 0U);
        }
        peer.resources += scheduler::Amounts(peer.workers, static_cast<double>(peer.gpus.size()));
    }
    return peers;
}

/// How many times longer than usual a rank may be silent. Where many threads wait for a CPU, a rank
/// may well not run for some seconds, and is not dead. The fullest node decides, on all ranks the
/// same, since everybody watches neighbours on other nodes.
double patience(const std::vector<runtime::Peer>& peers) {
    constexpr double usual = 2;  // workers per CPU
    double fullest = usual;
    for (const runtime::Peer& peer : peers) fullest = std::max(fullest, peer.workers_per_cpu);
    return fullest / usual;
}

runtime::DriverEnd call_driver(int (*driver)(Job&), Job& job) {
    try {
        return {runtime::exit_status(driver(job)), {}, {}};
    } catch (const BadInput& error) {
        return {bad_input, error.what(), error.what()};
    } catch (...) {
        const graph::Described exception = graph::describe_current_exception();
        const std::string reason = "the driver ended by an exception: " + graph::text_of(exception);
        return {failed, reason, "mobula: " + reason};
    }
}

/// Of this rank, before the ranks have met too.
std::string place() {
    std::array<char, 256> node{};
    gethostname(node.data(), node.size() - 1);
    return "rank " + std::to_string(native::launched_rank()) + " on node " + node.data();
}

int run_engine(Options& options, int argc, char** argv, int (*driver)(Job&)) {
    transport::Settings settings;
    settings.heartbeat = std::chrono::milliseconds(options.heartbeat_ms);
    settings.declared_dead_after = std::chrono::milliseconds(options.dead_after_ms);
    settings.force_verb = options.verb;
    settings.backlog_bytes = options.backlog_bytes;
    runtime::FunctionTable functions = runtime::FunctionTable::of_process();
    const native::Devices devices = native::devices_of_process();
    if (options.arena_bytes == 0) options.arena_bytes = native::default_arena_bytes(devices);
    auto limit = std::make_optional<runtime::StartLimit>(
        std::chrono::duration<double>(options.start_within_s), options.status_file);
    const auto cluster = transport::meet(&argc, &argv, settings, options.arena_bytes,
                                         hello(options, devices, functions));
    limit.reset();
    if (index(cluster->self()) == 0) runtime::RunFolder(options.status_file).note_met();
    log::configure(options.log_level, static_cast<unsigned>(index(cluster->self())));
    if (index(cluster->self()) == 0 && worker::misleads_thread_sanitizer()) {
        log::warning(
            "the program was built with -fsanitize=thread and the engine was not, so races "
            "are reported that are none; build the engine with -Db_sanitize=thread");
    }
    std::vector<native::Devices> all_devices;
    std::vector<runtime::Peer> peers = read_hellos(*cluster, functions, all_devices);
    const runtime::Peer& own = peers[index(cluster->self())];
    options.workers = own.workers;
    if (options.spin_us < 0) options.spin_us = own.crowded ? 0 : spin_us_default;

    if (!options.origins.contains("dead_after_ms")) {
        options.dead_after_ms =
            static_cast<std::int64_t>(static_cast<double>(options.dead_after_ms) * patience(peers));
    }
    if (!options.origins.contains("exit_wait_s")) options.exit_wait_s *= patience(peers);
    const std::chrono::milliseconds dead_after(options.dead_after_ms);

    Job job;
    job.arguments.assign(argv, argv + argc);
    job.ranks = static_cast<unsigned>(cluster->ranks());
    for (const Node node : cluster->nodes()) {
        job.nodes = std::max(job.nodes, static_cast<unsigned>(index(node)) + 1);
    }
    int code = 0;
    const bool leads = index(cluster->self()) == 0;
    bool clean = false;
    {
        const auto engine =
            std::make_unique<Engine>(options, *cluster, std::move(peers), std::move(functions));
        cluster->start(*engine, dead_after);
        runtime::introduce(*cluster, all_devices, engine->peers);
        // What tasks print on other ranks comes to the driver's terminal, line by line.
        if (!leads && options.forward_output) engine->forwarder.begin();
        std::function<runtime::DriverEnd()> first;
        if (leads) first = [&] { return call_driver(driver, job); };
        code = engine->run(first);
        engine->forwarder.end();
        const auto wait = std::chrono::milliseconds(static_cast<long>(options.exit_wait_s * 1000));
        clean = cluster->finish(Clock::now() + wait, [&] {
            if (leads) engine->handle_circles.print();
        });
    }
    if (!clean) {
        if (leads) {
            std::fprintf(
                stderr,
                "mobula: tasks still ran %g s after the driver's end on ranks that did not "
                "end; they are abandoned (MOBULA_EXIT_WAIT_S)\n",
                options.exit_wait_s);
        }
        transport::Cluster::abandon(code);
    }
    runtime::stay();
    return code;
}

}  // namespace

int run(int argc, char** argv, int (*driver)(Job&)) {
    if (Engine::running()) throw BadInput("mobula::run was called inside of a job that it runs");
    static std::atomic<bool> begun{false};
    if (begun.exchange(true)) {
        return runtime::refuse_to_start(
            "mobula::run was called a second time; a process can run one job");
    }
    Options options;
    try {
        options = Options::read(argc, argv);
    } catch (const BadInput& error) {
        return runtime::refuse_to_start(error.what());
    }
    if (options.help_wanted) return runtime::answer_at_start(Options::help());
    if (const std::string lack = runtime::lack_of_shared_memory(); !lack.empty()) {
        return runtime::refuse_to_start(lack);
    }
    const std::string status_file = options.status_file;
    if (const std::string why = native::why_not_replaceable(status_file); !why.empty()) {
        return runtime::refuse_to_start("the status file: " + why + " (MOBULA_STATUS_FILE)");
    }
    try {
        return run_engine(options, argc, argv, driver);
    } catch (const BadInput& error) {
        std::fprintf(stderr, "mobula: %s\n", error.what());
        runtime::write_status(status_file, bad_input, error.what());
        return bad_input;
    } catch (const std::exception& error) {
        // What MPI says of a rank that died while the ranks met names nobody; slurm/run does.
        if (runtime::RunFolder(status_file).somebody_ended_early()) return failed;
        if (!runtime::RunFolder(status_file).take_word()) return failed;  // another rank says it
        const std::string sentence = place() + " cannot run: " + error.what();
        std::fprintf(stderr, "mobula: %s\n", sentence.c_str());
        runtime::write_status(status_file, failed, sentence);
        return failed;
    }
}

}  // namespace mobula
