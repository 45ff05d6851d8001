// SPDX-License-Identifier: Apache-2.0

/// What the transport costs, beside its floors in the same run: the round trip of one record and
/// the stream of records between two ranks beside ucx_perftest's active messages, an append beside
/// memcpy, and a fetch by push and by get beside memcpy. Run on 2 ranks; prints one line per case
/// with the ratio to its floor. Ratios within one run can be compared, figures of two runs cannot.
///
///     mpirun --oversubscribe --bind-to none -n 2 bench_transport

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "transport/cluster.hpp"
#include "transport/outbox.hpp"

namespace {

using namespace mobula;
using namespace mobula::transport;

double seconds_since(Time begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

[[noreturn]] void wrong(const char* what) {
    std::fprintf(stderr, "bench_transport: %s\n", what);
    std::abort();
}

/// Divides all counts, for a first look.
std::uint64_t fewer = 1;

/// Counts what comes; answers pings.
class Counter final : public Delegate {
public:
    void on_record(Rank from, std::span<const std::byte> record) override {
        if (record.size() == arrival_bytes) {
            ++arrivals;
            return;
        }
        if (record.size() != expected_bytes) wrong("a record of another size came");
        ++records;
        if (echo != nullptr) echo->send(from, record);
    }
    void on_peer_lost(Rank, std::string_view) override { std::abort(); }
    void on_fenced(std::string_view) override { std::abort(); }

    Transport* echo = nullptr;
    std::uint64_t records = 0;
    std::size_t expected_bytes = 0;

    /// Records of this size only say that the other rank has come to a meeting.
    static constexpr std::size_t arrival_bytes = 3;
    std::uint64_t arrivals = 0, meetings = 0;
};

struct Job {
    Cluster& cluster;
    Counter& counter;
    Transport& transport;
    bool first;
    Rank peer;

    void until(std::uint64_t records) const {
        while (counter.records < records) transport.progress();
    }
    /// Waits until both ranks are here; nothing is under way then.
    void meet(bool echo = false) const {
        const std::byte word[Counter::arrival_bytes] = {};
        counter.echo = echo ? &transport : nullptr;
        counter.records = 0;
        transport.send(peer, word);
        ++counter.meetings;
        while (counter.arrivals < counter.meetings) transport.progress();
    }
};

/// Microseconds there and back: the median, as ucx_perftest tells it too, because on a machine that
/// others use the mean measures them.
double round_trip_us(const Job& job, std::size_t bytes) {
    const std::uint64_t count = 30000 / fewer;
    std::vector<std::byte> record(bytes);
    job.counter.expected_bytes = bytes;
    job.meet(!job.first);
    if (!job.first) {
        job.until(count);
        job.transport.progress();
        return 0;
    }
    std::vector<double> trips;
    for (std::uint64_t n = 1; n <= count; ++n) {
        const Time begin = Clock::now();
        job.transport.send(job.peer, record);
        job.until(n);
        trips.push_back(seconds_since(begin) * 1e6);
    }
    const auto middle = trips.begin() + static_cast<std::ptrdiff_t>(count / 2);
    std::nth_element(trips.begin(), middle, trips.end());
    return *middle;
}

/// Millions of records per second, as the receiver counts them.
double stream_rate(const Job& job, std::size_t bytes) {
    constexpr int rounds = 5;
    const std::uint64_t count = 1'000'000 / fewer;
    std::vector<std::byte> record(bytes);
    job.counter.expected_bytes = bytes;
    double best = 0;
    for (int round = 0; round < rounds; ++round) {
        job.meet();
        if (job.first) {
            for (std::uint64_t n = 0; n < count; ++n) {
                job.transport.send(job.peer, record);
                if (n % 64 == 0) {
                    while (job.transport.backlog_bytes(job.peer) > (1U << 20U)) {
                        job.transport.progress();
                    }
                }
            }
            job.meet();  // the receiver has all
        } else {
            job.until(1);
            const Time begin = Clock::now();
            job.until(count);
            best = std::max(best, static_cast<double>(count) / seconds_since(begin) / 1e6);
            job.meet();
        }
    }
    // The receiver's figure is printed by the first rank.
    job.meet();
    if (!job.first) {
        std::printf("  receiver counted %.1f million/s at %zu bytes\n", best, bytes);
        std::fflush(stdout);
    }
    return best;
}

struct Landing final : Fetch {
    void done() noexcept override { ended = true; }
    void failed(std::string_view why) noexcept override {
        std::fprintf(stderr, "%.*s\n", static_cast<int>(why.size()), why.data());
        std::abort();
    }
    bool ended = false;
};

constexpr std::byte filling{1};

double fetch_gb_per_s(const Job& job, std::size_t bytes) {
    std::vector<std::byte> into(bytes);
    double best = 0;
    job.meet();
    if (job.first) {
        for (int round = 0; round < 8; ++round) {
            Landing landing;
            const Time begin = Clock::now();
            job.transport.fetch(job.peer, 4096, into, landing);
            while (!landing.ended) job.transport.progress();
            best = std::max(best, static_cast<double>(bytes) / seconds_since(begin) / 1e9);
            const auto sound = [](std::byte each) { return each == filling; };
            if (!std::all_of(into.begin(), into.end(), sound)) wrong("other bytes were fetched");
            std::fill(into.begin(), into.end(), std::byte{0});
        }
    }
    job.meet();
    return best;
}

double memcpy_gb_per_s(std::size_t bytes) {
    std::vector<std::byte> from(bytes, std::byte{1}), to(bytes);
    double best = 0;
    for (int round = 0; round < 8; ++round) {
        const Time begin = Clock::now();
        std::memcpy(to.data(), from.data(), bytes);
        asm volatile("" : : "r"(to.data()) : "memory");
        best = std::max(best, static_cast<double>(bytes) / seconds_since(begin) / 1e9);
    }
    return best;
}

/// Nanoseconds to append a 64-byte record to a peer's batch, batches thrown away.
double append_ns() {
    Outbox outbox(2, Settings{}.batch_bytes);
    const std::array<std::byte, 64> record{};
    constexpr int count = 2'000'000;
    double best = 1e9;
    for (int round = 0; round < 5; ++round) {
        const Time begin = Clock::now();
        for (int n = 0; n < count; ++n) {
            if (outbox.append(Rank{1}, record)) {
                outbox.take([](Rank, bool) { return true; },
                            [&](Batch* batch) { outbox.recycle(batch); });
            }
        }
        best = std::min(best, seconds_since(begin) / count * 1e9);
    }
    return best;
}

/// ucx_perftest between the two ranks: the last line's figure in the column counted from 0.
double perftest(bool first, const std::string& options, int column) {
    // The port in hexadecimal digits and the state LISTEN, as the kernel lists them.
    const std::string until_served =
        "for try in $(seq 500); do grep -q ':350B .* 0A ' /proc/net/tcp && break; sleep 0.01; "
        "done; ";
    const std::string command =
        (first ? until_served : std::string{}) + "exec timeout 60 ucx_perftest -f -p 13579 " +
        (first ? "localhost -e " + options : std::string("-e")) + " 2>/dev/null";
    std::FILE* pipe = ::popen(command.c_str(), "r");
    std::string last;
    char line[512];
    while (pipe != nullptr && std::fgets(line, sizeof line, pipe) != nullptr) last = line;
    if (pipe != nullptr) (void)::pclose(pipe);
    double value = 0;
    const char* at = last.c_str();
    for (int n = 0; n <= column; ++n) {
        while (*at != 0 && std::strchr("-0123456789.", *at) == nullptr) ++at;
        char* end = nullptr;
        value = std::strtod(at, &end);
        if (end == at) return 0;
        at = end;
    }
    return value;
}

struct Floors {
    double latency_us = 0, rate = 0, batch_rate = 0, large_gb_per_s = 0;
};

/// The settings without which UCX falls back to TCP when errors are to be reported.
Floors measure_floors(bool first) {
    setenv("UCX_MM_ERROR_HANDLING", "y", 0);
    setenv("UCX_CMA_MEMORY_INVALIDATE", "y", 0);
    Floors floors;
    floors.latency_us = perftest(first, "-t ucp_am_lat -s 64 -n 30000 -w 1000", 1);
    floors.rate = perftest(first, "-t ucp_am_bw -s 64 -n 200000 -w 1000", 6) / 1e6;
    floors.batch_rate = perftest(first, "-t ucp_am_bw -s 8000 -n 50000 -w 1000", 6) / 1e6;
    floors.large_gb_per_s =
        perftest(first, "-t ucp_am_bw -s 1048576 -n 1000 -w 20", 5) * 1.048576e-3;
    return floors;
}

/// A floor and the ratio of what was measured to it; without ucx_perftest there is none.
std::string beside(double measured, double floor, const char* unit) {
    if (floor <= 0) return "not measured";
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%.3g %s, ratio %.2f", floor, unit, measured / floor);
    return text.data();
}

void print_round_trips(const Job& job, const Floors& floors) {
    for (const std::size_t bytes : {16, 64, 1000}) {
        const double trip = round_trip_us(job, bytes);
        if (!job.first) continue;
        std::printf("round trip of %zu B: %.3f us; ucp_am_lat * 2 at 64 B: %s\n", bytes, trip,
                    beside(trip, floors.latency_us * 2, "us").c_str());
        std::fflush(stdout);
    }
}

void print_streams(const Job& job, const Floors& floors) {
    for (const std::size_t bytes : {16, 64, 1000}) (void)stream_rate(job, bytes);
    if (!job.first) return;
    std::printf(
        "ucp_am_bw, millions/s: messages of 64 B %.1f, of 8000 B %.2f, which is %.1f of records of "
        "64 B (0: not measured)\n",
        floors.rate, floors.batch_rate, floors.batch_rate * (8000.0 / 72));
}

void print_fetch(const Job& job, const Floors& floors, const char* verb) {
    const double fetched = fetch_gb_per_s(job, std::size_t{64} << 20U);
    job.meet();
    if (!job.first) return;
    const double copy = memcpy_gb_per_s(std::size_t{64} << 20U);
    std::printf("fetch of 64 MiB by %s: %.1f GB/s; ucp_am_bw at 1 MiB: %s; memcpy: %s\n", verb,
                fetched, beside(fetched, floors.large_gb_per_s, "GB/s").c_str(),
                beside(fetched, copy, "GB/s").c_str());
}

}  // namespace

int main(int argc, char** argv) {
    // Arguments: the verb of fetches; one of trip, stream, fetch, all; how much fewer of each.
    const char* verb = argc > 1 ? argv[1] : "push";
    const std::string part = argc > 2 ? argv[2] : "all";
    if (argc > 3) fewer = std::max(std::strtoul(argv[3], nullptr, 10), 1UL);
    const auto wants = [&](const char* name) { return part == "all" || part == name; };
    Settings settings;
    settings.force_verb = verb;
    auto cluster = meet(&argc, &argv, settings, std::size_t{256} << 20U, {});
    if (cluster->ranks() != 2) return 77;
    const bool first = cluster->self() == Rank{0};
    std::byte* block = cluster->arena().allocate(std::size_t{128} << 20U);
    std::memset(block, static_cast<int>(filling), std::size_t{128} << 20U);
    const Floors floors = fewer == 1 ? measure_floors(first) : Floors{};
    Counter counter;
    cluster->start(counter);
    const Job job{*cluster, counter, cluster->transport(), first, first ? Rank{1} : Rank{0}};
    if (first) {
        std::printf("append of a 64 B record: %.1f ns\n", append_ns());
        std::fflush(stdout);
    }
    job.meet();
    if (wants("trip")) print_round_trips(job, floors);
    if (wants("stream")) print_streams(job, floors);
    if (wants("fetch")) print_fetch(job, floors, verb);
    return cluster->finish(Clock::now() + std::chrono::seconds(10)) ? 0 : 1;
}
