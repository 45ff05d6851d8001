// SPDX-License-Identifier: Apache-2.0

/// From main() to the engine and back.

#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <mobula/error.hpp>
#include <mobula/job.hpp>

#include "base/log.hpp"
#include "runtime/engine.hpp"
#include "runtime/status.hpp"

namespace mobula {
namespace {

using runtime::Engine;
using runtime::Options;

constexpr int failed = 1;
constexpr int bad_input = 2;

/// What a rank tells the others when they meet.
std::vector<std::byte> hello(const Options& options, const runtime::FunctionTable& functions) {
    wire::RecordWriter writer(wire::Kind::name);
    writer.put(functions.digest()).put(options.workers);
    scheduler::Amounts(options.workers, static_cast<double>(options.gpus), options.resources)
        .encode(writer);
    return {writer.span().begin(), writer.span().end()};
}

std::vector<runtime::Peer> read_hellos(transport::Cluster& cluster,
                                       const runtime::FunctionTable& functions) {
    std::vector<runtime::Peer> peers;
    for (std::size_t rank = 0; rank < cluster.ranks(); ++rank) {
        wire::RecordReader reader(cluster.hellos()[rank]);
        static_cast<void>(reader.get<wire::Kind>());
        if (reader.get<std::uint64_t>() != functions.digest()) {
            throw BadInput("rank " + std::to_string(rank) + " on node " +
                           cluster.host_names()[rank] +
                           " runs another build of this program or of mobula than rank " +
                           std::to_string(index(cluster.self())) +
                           "; all ranks must run the same executable");
        }
        runtime::Peer peer;
        peer.workers = reader.get<unsigned>();
        peer.resources = scheduler::Amounts::decode(reader);
        peers.push_back(std::move(peer));
    }
    return peers;
}

/// Settles what depends on the machine: workers, memory and how long to spin.
void settle(Options& options) {
    cpu_set_t mask;
    CPU_ZERO(&mask);
    sched_getaffinity(0, sizeof mask, &mask);
    const auto cpus = static_cast<unsigned>(std::max(CPU_COUNT(&mask), 1));
    const char* const local = std::getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    const unsigned ranks = local != nullptr ? static_cast<unsigned>(std::atoi(local)) : 1;
    if (options.workers == 0) options.workers = std::max(cpus / std::max(ranks, 1U), 1U);
    if (options.spin_us < 0) options.spin_us = options.workers * ranks > cpus ? 0 : 20;
    if (options.arena_bytes == 0) options.arena_bytes = std::size_t{4} << 30U;
    if (options.gpus < 0) options.gpus = 0;
}

int call_driver(int (*driver)(Job&), Job& job, std::string& reason) {
    try {
        return driver(job);
    } catch (const BadInput& error) {
        reason = error.what();
        std::fprintf(stderr, "%s\n", error.what());
        return bad_input;
    } catch (const std::exception& error) {
        reason = std::string("the driver ended by an exception: ") + error.what();
        std::fprintf(stderr, "mobula: %s\n", reason.c_str());
    } catch (...) {
        reason = "the driver ended by an exception that is no std::exception";
        std::fprintf(stderr, "mobula: %s\n", reason.c_str());
    }
    return failed;
}

int run_engine(Options& options, int argc, char** argv, int (*driver)(Job&)) {
    transport::Settings settings;
    settings.heartbeat = std::chrono::milliseconds(options.heartbeat_ms);
    settings.declared_dead_after = std::chrono::milliseconds(options.dead_after_ms);
    settings.force_verb = options.verb;
    runtime::FunctionTable functions = runtime::FunctionTable::of_process();
    const auto cluster = transport::meet(&argc, &argv, settings, options.arena_bytes,
                                         hello(options, functions));
    log::configure(options.log_level, static_cast<unsigned>(index(cluster->self())));
    std::vector<runtime::Peer> peers = read_hellos(*cluster, functions);

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
        const auto engine = std::make_unique<Engine>(options, *cluster, std::move(peers),
                                                     std::move(functions));
        cluster->start(*engine);
        std::function<int(std::string&)> first;
        if (leads) first = [&](std::string& reason) { return call_driver(driver, job, reason); };
        code = engine->run(first);
        clean = cluster->finish(Clock::now() + std::chrono::milliseconds(static_cast<long>(
                                                   options.exit_wait_s * 1000)));
    }
    if (!clean) transport::Cluster::abandon(code);
    return code;
}

}  // namespace

int run(int argc, char** argv, int (*driver)(Job&)) {
    std::string status_file;
    try {
        Options options = Options::read(argc, argv);
        status_file = options.status_file;
        if (options.help_wanted) {
            std::fputs(Options::help().c_str(), stdout);
            return 0;
        }
        settle(options);
        return run_engine(options, argc, argv, driver);
    } catch (const BadInput& error) {
        std::fprintf(stderr, "mobula: %s\n", error.what());
        runtime::write_status(status_file, bad_input, error.what());
        return bad_input;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "mobula: %s\n", error.what());
        runtime::write_status(status_file, failed, error.what());
        return failed;
    }
}

}  // namespace mobula
