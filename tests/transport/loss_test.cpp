// SPDX-License-Identifier: Apache-2.0
// Goal: a rank that is killed or stopped is noticed by every other rank, once, with
// a reason, within 2 s; fetches from it fail; the others go on, asleep when idle; a stopped rank
// that comes back is told to go. Method: the last rank is the victim and the others watch. They are
// launched so that one death does not end the job, and leave by abandon(). Arguments: kill, stop or
// mute (it stops before it has said a word, so that no connection to it is complete), the pace, and
// "pulse" for beats over connections of their own, as between nodes.
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "transport/rank_pair.hpp"

namespace {

using namespace mobula;
using namespace mobula::transport;
using namespace mobula::transport::testing;
using std::chrono::milliseconds;
using std::chrono::seconds;

int failures = 0;

void expect(bool holds, const char* what) {
    if (holds) return;
    ++failures;
    std::fprintf(stderr, "FAILED: %s\n", what);
}

struct Landing final : Fetch {
    void done() noexcept override { ++ended; }
    void failed(std::string_view why) noexcept override {
        ++ended;
        reason = why;
    }
    int ended = 0;
    std::string reason;
    std::vector<std::byte> bytes;
};

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

/// A process that wakes the victim up again later, since the victim cannot.
void resume_after(pid_t victim, unsigned pause_s) {
    if (fork() != 0) return;
    sleep(pause_s);
    kill(victim, SIGCONT);
    _exit(0);
}

/// Stops and comes back when the others hold it for dead: it is told to go, or, where the network
/// had no room for that, misses everybody else.
[[noreturn]] void stop_for(unsigned pause_s, Transport& transport, Recorder& recorder, Pace pace) {
    resume_after(getpid(), pause_s);
    kill(getpid(), SIGSTOP);
    const auto alone = [&] {
        return !recorder.fenced.empty() || recorder.lost.size() == transport.ranks() - 1;
    };
    const bool knows = drive(transport, pace, alone, seconds(10));
    if (!recorder.fenced.empty()) std::printf("victim: %s\n", recorder.fenced.c_str());
    std::printf("the victim %s\n", knows ? "knows that it is alone and is sound" : "is unsound");
    Cluster::abandon(knows ? 0 : 1);
}

[[noreturn]] void be_the_victim(Transport& transport, Recorder& recorder, std::string_view how,
                                Pace pace) {
    if (how == "mute") stop_for(7, transport, recorder, pace);
    expect(meet_again(transport, recorder, pace), "all are ready");
    (void)drive(
        transport, pace, [] { return false; }, milliseconds(300));
    if (how == "kill") kill(getpid(), SIGKILL);
    stop_for(5, transport, recorder, pace);
}

/// Each of the living hears a word of each other one.
void talk_on(Transport& transport, Recorder& recorder, Rank victim, Pace pace,
             std::uint64_t heard_before) {
    for (std::uint32_t r = 0; r < index(victim); ++r) {
        const std::byte word[Recorder::arrival_bytes] = {};
        if (Rank{r} != transport.self()) transport.send(Rank{r}, word);
    }
    const auto heard = [&] { return recorder.arrivals >= heard_before + index(victim) - 1; };
    expect(drive(transport, pace, heard, seconds(5)), "the living talk on");
}

/// Speaks to one that never answers, until that is dead; the others live.
void watch_the_mute(Transport& transport, Recorder& recorder, Rank victim, Pace pace) {
    const std::byte word[Recorder::arrival_bytes] = {};
    for (std::uint32_t r = 0; r < transport.ranks(); ++r) {
        if (Rank{r} != transport.self()) transport.send(Rank{r}, word);
    }
    expect(drive(
               transport, pace, [&] { return !recorder.lost.empty(); }, seconds(10)),
           "the mute is noticed");
    (void)drive(
        transport, pace, [] { return false; }, seconds(5));
    expect(recorder.lost.size() == 1 && recorder.lost.front() == victim, "only the mute is lost");
    expect(recorder.arrivals >= index(victim) - 1, "the others were heard");
    expect(recorder.fenced.empty(), "the living are not fenced");
    // Nobody goes, and so is lost to another, who has not looked at all this yet.
    talk_on(transport, recorder, victim, pace, index(victim) - 1);
}

/// Keeps large transfers under way until the victim's end is known.
void watch(Cluster& cluster, Recorder& recorder, Rank victim, Pace pace) {
    Transport& transport = cluster.transport();
    std::vector<std::unique_ptr<Landing>> landings;
    const auto fetch_more = [&] {
        if (!landings.empty() && landings.back()->ended == 0) return;
        landings.push_back(std::make_unique<Landing>());
        landings.back()->bytes.resize(std::size_t{32} << 20U);
        transport.fetch(victim, 0, landings.back()->bytes, *landings.back());
    };
    const auto knows = [&] {
        if (recorder.lost.empty()) fetch_more();
        return !recorder.lost.empty();
    };
    expect(drive(transport, pace, knows, seconds(10)), "the loss is noticed");
    const auto over = [&] { return landings.back()->ended > 0; };
    expect(drive(transport, pace, over, seconds(4)), "the fetch under way ends");
    for (const auto& landing : landings) expect(landing->ended == 1, "a fetch ends once");
    expect(!landings.back()->reason.empty(), "the last fetch fails");
    Landing late;
    late.bytes.resize(100);
    transport.fetch(victim, 0, late.bytes, late);
    expect(drive(
               transport, pace, [&] { return late.ended == 1; }, seconds(1)) &&
               !late.reason.empty(),
           "a fetch from the dead fails at once");
    std::printf("rank %zu: lost rank %zu: %s; fetch: %s\n", index(transport.self()),
                index(recorder.lost.front()), recorder.reasons.front().c_str(),
                landings.back()->reason.c_str());
}

[[noreturn]] void end(Transport& transport) {
    expect(transport.leave(Clock::now() + seconds(3)), "the living can leave");
    std::printf("rank %zu is %s\n", index(transport.self()), failures == 0 ? "sound" : "unsound");
    Cluster::abandon(failures == 0 ? 0 : 1);
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view how = argc > 1 ? argv[1] : "kill";
    const Pace pace = argc > 2 && std::string_view(argv[2]) == "sleep" ? Pace::sleep : Pace::spin;
    Settings settings;
    settings.force_verb = "push";
    settings.join_within = seconds(3);
    settings.always_pulse = argc > 3 && std::string_view(argv[3]) == "pulse";
    auto cluster = meet(&argc, &argv, settings, std::size_t{64} << 20U, {});
    if (cluster->ranks() < 2) return 77;
    Recorder recorder;
    cluster->start(recorder);
    Transport& transport = cluster->transport();
    const Rank victim{static_cast<std::uint32_t>(cluster->ranks() - 1)};
    if (transport.self() == victim) be_the_victim(transport, recorder, how, pace);
    if (how == "mute") {
        watch_the_mute(transport, recorder, victim, pace);
        end(transport);
    }
    expect(meet_again(transport, recorder, pace), "all are ready");

    const Time begin = Clock::now();
    watch(*cluster, recorder, victim, pace);
    const auto found_ms = std::chrono::duration_cast<milliseconds>(Clock::now() - begin).count();
    std::printf("rank %zu knew %lld ms after the start\n", index(transport.self()),
                static_cast<long long>(found_ms));
    expect(found_ms < 300 + 2000 + 1000, "the loss is noticed soon");

    // Life goes on, quietly, among those who are left.
    transport.send(victim, bytes_of("nobody hears this"));
    const double before = cpu_seconds();
    (void)drive(
        transport, Pace::sleep, [] { return false; }, seconds(2));
    const double share = (cpu_seconds() - before) / 2;
    std::printf("rank %zu idle after the loss: %.2f %% of a core\n", index(transport.self()),
                share * 100);
    // Told, not checked: beside a stopped peer on one node UCX keeps a rank busy, and the engine
    // ends the job after a loss.
    talk_on(transport, recorder, victim, pace, transport.ranks() - 1);
    (void)drive(
        transport, Pace::sleep, [] { return false; }, seconds(how == "stop" ? 4 : 1));
    expect(recorder.lost.size() == 1 && recorder.lost.front() == victim, "one loss, told once");
    expect(recorder.fenced.empty(), "the living are not fenced");
    end(transport);
}
