// SPDX-License-Identifier: Apache-2.0
// Goal: the transport between real ranks keeps its promises: order, wholeness, alignment, a quiet
// sleep, a clean end. Method: every rank runs the same steps; each byte is derived from sender,
// receiver and number, so that any mix-up shows. Arguments: "spin" or "sleep".
#include <sys/resource.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "transport/rank_pair.hpp"

namespace {

using namespace mobula;
using namespace mobula::transport;
using namespace mobula::transport::testing;

int failures = 0;

void expect(bool holds, const char* what) {
    if (holds) return;
    ++failures;
    std::fprintf(stderr, "FAILED: %s\n", what);
}

struct Numbered {
    std::uint32_t from, to;
    std::uint64_t number;
};

std::byte pattern(std::uint32_t from, std::uint64_t number, std::size_t at) {
    return static_cast<std::byte>(from * 31 + number * 7 + at);
}

constexpr std::uint64_t records_per_peer = 20000;

std::size_t size_of_record(std::uint64_t number) {
    if (number % 1000 == 999) return 300'000 + number;  // more than a batch: goes alone, in order
    if (number % 100 == 50) return 5000 + number % 4000;
    return sizeof(Numbered) + number % 97;
}

/// Everybody sends to everybody at once; what comes must be whole and in order.
void all_to_all(Transport& transport, Recorder& recorder, Pace pace) {
    const auto self = static_cast<std::uint32_t>(index(transport.self()));
    std::vector<std::uint64_t> next(transport.ranks());
    bool sound = true;
    std::uint64_t whole = 0;
    recorder.hear = [&](Rank from, std::span<const std::byte> record) {
        Numbered head{};
        std::memcpy(&head, record.data(), sizeof head);
        sound = sound && head.from == index(from) && head.to == self &&
                head.number == next[index(from)]++ && record.size() == size_of_record(head.number);
        for (std::size_t at = sizeof head; at < record.size() && sound; at += 13) {
            sound = record[at] == pattern(head.from, head.number, at);
        }
        ++whole;
    };
    std::vector<std::byte> record(1'000'000);
    for (std::uint64_t number = 0; number < records_per_peer; ++number) {
        for (std::uint32_t to = 0; to < transport.ranks(); ++to) {
            if (to == self) continue;
            const Numbered head{self, to, number};
            const std::size_t size = size_of_record(number);
            std::memcpy(record.data(), &head, sizeof head);
            for (std::size_t at = sizeof head; at < size; ++at) {
                record[at] = pattern(self, number, at);
            }
            transport.send(Rank{to}, std::span(record).first(size));
            while (transport.backlog_bytes(Rank{to}) > (8U << 20U)) transport.progress();
        }
        if (number % 64 == 0) transport.progress();
    }
    const std::uint64_t expected = records_per_peer * (transport.ranks() - 1);
    expect(drive(transport, pace, [&] { return whole == expected; }), "all records come");
    expect(meet_again(transport, recorder, pace), "all have all records");
    expect(sound, "every record is whole and in order");
    expect(recorder.misaligned == 0, "every record is 8-byte aligned");
}

/// A token goes round the ring some times.
void ring(Transport& transport, Recorder& recorder, Pace pace) {
    const auto self = index(transport.self());
    const std::uint64_t hops_max = 200 * transport.ranks();
    std::uint64_t last = 0;
    const auto pass_on = [&](std::uint64_t hop) {
        const Rank next{static_cast<std::uint32_t>((self + 1) % transport.ranks())};
        transport.send(next, std::as_bytes(std::span(&hop, 1)));
    };
    recorder.hear = [&](Rank, std::span<const std::byte> record) {
        std::memcpy(&last, record.data(), sizeof last);
        if (last < hops_max) pass_on(last + 1);
    };
    expect(meet_again(transport, recorder, pace), "all are ready for the ring");
    if (self == 0) pass_on(1);
    const bool ended = drive(transport, pace, [&] { return last > hops_max - transport.ranks(); });
    expect(ended, "the token goes round");
    expect(meet_again(transport, recorder, pace), "all have seen the token");
}

/// Threads send and flush, some also drive, while the main thread drives or sleeps: whatever thread
/// hands a record over, it leaves without another call, and each thread's records stay in order.
void many_threads(Transport& transport, Recorder& recorder, Pace pace) {
    constexpr std::uint32_t threads = 3;
    constexpr std::uint64_t count = 3000;
    const auto self = static_cast<std::uint32_t>(index(transport.self()));
    std::vector<std::uint64_t> next(transport.ranks() * threads);
    bool sound = true;
    std::atomic<std::uint64_t> whole{0};
    recorder.hear = [&](Rank from, std::span<const std::byte> record) {
        Numbered head{};
        std::memcpy(&head, record.data(), sizeof head);
        sound = sound && head.number == next[index(from) * threads + head.to]++;
        ++whole;
    };
    expect(meet_again(transport, recorder, pace), "all are ready for the threads");
    std::vector<std::thread> senders;
    for (std::uint32_t thread = 0; thread < threads; ++thread) {
        senders.emplace_back([&, thread] {
            for (std::uint64_t n = 0; n < count; ++n) {
                const Numbered head{self, thread, n};
                for (std::uint32_t to = 0; to < transport.ranks(); ++to) {
                    if (to != self) transport.send(Rank{to}, std::as_bytes(std::span(&head, 1)));
                }
                if (n % 10 == thread || n + 1 == count) transport.flush();
                if (thread == 2) (void)transport.progress();
            }
        });
    }
    const std::uint64_t expected = count * threads * (transport.ranks() - 1);
    expect(drive(transport, pace, [&] { return whole == expected; }), "all threads' records come");
    for (auto& sender : senders) sender.join();
    expect(sound, "each thread's records are in order");
    expect(meet_again(transport, recorder, pace), "all have the threads' records");
}

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](timeval t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// With nothing to do a rank uses next to no processor time, heartbeats included.
void idle(Transport& transport, Recorder& recorder) {
    recorder.hear = nullptr;
    const double before = cpu_seconds();
    (void)drive(
        transport, Pace::sleep, [] { return false; }, std::chrono::seconds(2));
    const double share = (cpu_seconds() - before) / 2.0;
    std::printf("rank %zu idle: %.2f %% of a core\n", index(transport.self()), share * 100);
    expect(share < 0.05, "an idle rank uses no processor");
}

/// wake() from another thread ends a sleep long before its deadline.
void wake_up(Transport& transport) {
    std::thread waker([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        transport.wake();
    });
    const Time begin = Clock::now();
    std::atomic<bool> woken{false};
    while (!woken && Clock::now() - begin < std::chrono::milliseconds(29)) {
        while (transport.progress()) {
        }
        transport.wait(begin + std::chrono::seconds(5));
    }
    waker.join();
    expect(Clock::now() - begin < std::chrono::seconds(2), "wake() ends a sleep");
}

/// While another thread drives the network whoever waits for news sleeps, although news come: what
/// it does instead it would take from the other.
void wait_beside_a_driver(Transport& transport, Recorder& recorder, Pace pace) {
    constexpr auto span = std::chrono::milliseconds(200);
    std::atomic<bool> inside{false}, over{false};
    recorder.hear = [&](Rank, std::span<const std::byte>) {
        inside = true;
        while (!over) std::this_thread::yield();
    };
    std::uint64_t waits = 0;
    // The first news may come while this rank still waits to hear that all are ready.
    std::thread waiter;
    if (index(transport.self()) == 0) {
        waiter = std::thread([&] {
            const Time latest = Clock::now() + std::chrono::seconds(20);
            while (!inside && Clock::now() < latest) std::this_thread::yield();
            for (const Time end = Clock::now() + span; Clock::now() < end; ++waits) {
                transport.wait(end);
            }
            over = true;
        });
    }
    expect(meet_again(transport, recorder, pace), "all are ready to wait");
    if (index(transport.self()) == 0) {
        expect(drive(transport, pace, [&] { return over.load(); }), "somebody is inside");
        waiter.join();
        std::printf("%llu waits beside a driver\n", static_cast<unsigned long long>(waits));
        expect(inside && waits < 1000, "who waits beside a driver sleeps");
    } else if (index(transport.self()) == 1) {
        const Time end = Clock::now() + span;
        (void)drive(
            transport, pace,
            [&] {
                transport.send(Rank{0}, bytes_of("some news"));
                return Clock::now() > end;
            },
            2 * span);
    }
    expect(meet_again(transport, recorder, pace), "all have waited");
    recorder.hear = nullptr;
}

/// Shared memory must really be in use within a node, unless the environment forbids it.
void lanes(Transport& transport) {
    const char* tls = std::getenv("UCX_TLS");
    const bool wants_shared_memory = tls == nullptr;
    bool shared = false;
    for (const auto& line : transport.describe()) {
        shared = shared || line.find("sysv") != std::string::npos ||
                 line.find("posix") != std::string::npos;
        if (index(transport.self()) == 0) std::printf("%s\n", line.c_str());
    }
    if (transport.ranks() > 1) expect(shared == wants_shared_memory, "the lanes are as expected");
}

}  // namespace

int main(int argc, char** argv) {
    const Pace pace = argc > 1 && std::string_view(argv[1]) == "sleep" ? Pace::sleep : Pace::spin;
    const std::string hello = "hello of process " + std::to_string(getpid());
    auto cluster = meet(&argc, &argv, Settings{}, std::size_t{64} << 20U, bytes_of(hello));
    Recorder recorder;
    cluster->start(recorder);
    Transport& transport = cluster->transport();
    expect(cluster->hellos().size() == cluster->ranks(), "everybody's hello came");
    for (const auto& said : cluster->hellos()) {
        expect(std::memcmp(said.data(), "hello of process", 16) == 0, "a hello is whole");
    }
    if (transport.ranks() > 1) all_to_all(transport, recorder, pace);
    if (transport.ranks() > 1) ring(transport, recorder, pace);
    if (transport.ranks() > 1) many_threads(transport, recorder, pace);
    lanes(transport);
    wake_up(transport);
    if (transport.ranks() > 1) wait_beside_a_driver(transport, recorder, pace);
    idle(transport, recorder);
    expect(recorder.lost.empty(), "nobody is lost");
    expect(cluster->finish(Clock::now() + std::chrono::seconds(10)), "the end is clean");
    return failures == 0 ? 0 : 1;
}
