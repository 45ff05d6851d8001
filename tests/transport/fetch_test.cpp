// SPDX-License-Identifier: Apache-2.0
// Goal: large transfers arrive whole by each verb, from several peers at once, at odd sizes and
// offsets; what is not inside the owner's arena is refused with a sentence. Method: each rank fills
// its arena with a pattern of its own rank and all ranks fetch pieces of all others. Arguments: the
// verb (map, push, get) and the pace (spin, sleep).
#include <cstdio>
#include <memory>

#include "transport/rank_pair.hpp"

namespace {

using namespace mobula;
using namespace mobula::transport;
using namespace mobula::transport::testing;

constexpr std::size_t region_bytes = std::size_t{100} << 20U;  // more than one extent

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
    Rank from{};
    std::uint64_t offset = 0;
    std::vector<std::byte> bytes;
};

std::byte pattern(std::size_t rank, std::size_t at) {
    return static_cast<std::byte>(at * 2654435761U >> 7U ^ rank * 29U);
}

bool is_whole(const Landing& landing, std::uint64_t region) {
    for (std::size_t n = 0; n < landing.bytes.size(); n += 61) {
        if (landing.bytes[n] != pattern(index(landing.from), landing.offset - region + n)) {
            return false;
        }
    }
    return true;
}

void read_mapped(Cluster& cluster, std::uint64_t region) {
    for (std::uint32_t r = 0; r < cluster.ranks(); ++r) {
        if (Rank{r} == cluster.self()) continue;
        const auto* arena = cluster.peer_arena(Rank{r});
        expect(arena != nullptr, "the peer's arena is mapped");
        if (arena == nullptr) continue;
        const auto view = arena->view(region, region_bytes);
        bool whole = view.size() == region_bytes;
        for (std::size_t at = 0; at < view.size() && whole; at += 4099) {
            whole = view[at] == pattern(r, at);
        }
        expect(whole, "a mapped arena shows its owner's bytes");
        expect(arena->view(arena->bytes(), 1).empty(), "nothing is read outside of an arena");
        expect(arena->view(~std::uint64_t{0}, 2).empty(), "offsets do not wrap");
    }
}

void fetch_pieces(Transport& transport, std::uint64_t region, Pace pace) {
    constexpr std::size_t sizes[] = {1, 100, 16385, 1U << 20U, 5'000'001, 70'000'000};
    std::vector<std::unique_ptr<Landing>> landings;
    for (std::uint32_t r = 0; r < transport.ranks(); ++r) {
        if (Rank{r} == transport.self()) continue;
        for (const std::size_t size : sizes) {
            auto landing = std::make_unique<Landing>();
            landing->from = Rank{r};
            landing->offset = region + size % 977;
            landing->bytes.resize(size);
            transport.fetch(Rank{r}, landing->offset, landing->bytes, *landing);
            landings.push_back(std::move(landing));
        }
    }
    const auto all_ended = [&] {
        for (const auto& landing : landings) {
            if (landing->ended == 0) return false;
        }
        return true;
    };
    expect(drive(transport, pace, all_ended), "all fetches end");
    for (const auto& landing : landings) {
        expect(landing->ended == 1 && landing->reason.empty(), "a fetch is done, once");
        if (!landing->reason.empty()) std::fprintf(stderr, "%s\n", landing->reason.c_str());
        expect(is_whole(*landing, region), "what was fetched is whole");
    }
}

void fetch_nonsense(Transport& transport, std::size_t arena_bytes, Pace pace) {
    const Rank peer{static_cast<std::uint32_t>((index(transport.self()) + 1) % transport.ranks())};
    Landing beyond, far, empty;
    beyond.bytes.resize(4096);
    far.bytes.resize(4096);
    transport.fetch(peer, arena_bytes - 100, beyond.bytes, beyond);
    transport.fetch(peer, ~std::uint64_t{0} - 100, far.bytes, far);
    transport.fetch(peer, 0, {}, empty);
    const auto all_ended = [&] { return beyond.ended + far.ended + empty.ended == 3; };
    expect(drive(transport, pace, all_ended), "nonsense is answered");
    expect(!beyond.reason.empty() && !far.reason.empty(), "what is outside is refused");
    expect(empty.reason.empty(), "nothing is fetched at once");
    std::printf("refused: %s\n", beyond.reason.c_str());
}

}  // namespace

int main(int argc, char** argv) {
    Settings settings;
    settings.force_verb = argc > 1 ? argv[1] : "push";
    const Pace pace = argc > 2 && std::string_view(argv[2]) == "sleep" ? Pace::sleep : Pace::spin;
    auto cluster = meet(&argc, &argv, settings, std::size_t{160} << 20U, {});
    Recorder recorder;
    std::byte* block = cluster->arena().allocate(region_bytes);
    for (std::size_t at = 0; at < region_bytes; ++at) {
        block[at] = pattern(index(cluster->self()), at);
    }
    const std::uint64_t region = cluster->arena().offset(block);
    cluster->start(recorder);
    Transport& transport = cluster->transport();
    expect(meet_again(transport, recorder, pace), "all are ready");
    const bool maps = settings.force_verb == "map";
    if (maps) read_mapped(*cluster, region);
    fetch_pieces(transport, region, pace);
    fetch_nonsense(transport, cluster->arena().bytes(), pace);
    expect(meet_again(transport, recorder, pace), "all have fetched");
    expect(recorder.lost.empty(), "nobody is lost");
    std::printf("fetched %llu bytes\n",
                static_cast<unsigned long long>(transport.counters().bytes_fetched));
    expect(cluster->finish(Clock::now() + std::chrono::seconds(10)), "the end is clean");
    return failures == 0 ? 0 : 1;
}
