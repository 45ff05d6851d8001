// SPDX-License-Identifier: Apache-2.0

// Goal: no bytes from another rank do more than end the job with a sentence. Method: sequences of
// records of all kinds, each right at first, are given to a whole engine changed, cut, doubled and
// in another order, while the tasks that arrive run. What goes wrong is found by the address and
// undefined behaviour sanitizers, by check(), by a limit on time and on single allocations, and by
// the sentence at the end. A run is some sequences on one engine; each has a seed of its own, so
// what was found is found again:
//
//   unit_runtime_fuzz [--seconds N | --sequences N] [--seed N]
//   unit_runtime_fuzz --run SEED

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/records_cases.hpp"

// One record has 256 MiB at most and these have some KiB: nothing needs much memory at once. What
// was freed is watched for the length of a run, and where it was, --run with other options tells.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() {
    return "max_allocation_size_mb=64:detect_leaks=0:detect_stack_use_after_return=0:"
           "quarantine_size_mb=4:malloc_context_size=1";
}

namespace mobula::runtime::testing {
namespace {

using Random = std::mt19937_64;

constexpr std::uint64_t runs_per_process = 500;
constexpr int sequences_per_run = 8;
constexpr unsigned seconds_per_run = 60;

/// What a parent has to know of its child, wherever that ended.
struct Progress {
    std::uint64_t run = 0;
    std::uint64_t sequences = 0;
    std::uint64_t records = 0;
    std::uint64_t refused = 0;  ///< sequences that ended the job
};

std::size_t below(Random& random, std::size_t limit) {
    return limit == 0 ? 0 : static_cast<std::size_t>(random() % limit);
}

struct Sent {
    Record bytes;
    Rank from;
};

/// Numbers that are near to a limit of some field, or small as counts and kinds are.
std::uint64_t special(Random& random) {
    constexpr std::uint64_t ones = ~std::uint64_t{0};
    switch (below(random, 6)) {
        case 0: return 0;
        case 1: return below(random, 8);
        case 2: return ones >> below(random, 64);
        case 3: return std::uint64_t{1} << below(random, 64);
        case 4: return ones << below(random, 64);
        default: return random();
    }
}

void change(Record& record, const std::vector<Sent>& others, Random& random) {
    if (record.empty()) return;
    const std::size_t at = below(random, record.size());
    const auto overwrite = [&](const void* from, std::size_t bytes) {
        std::memmove(record.data() + at, from, std::min(bytes, record.size() - at));
    };
    switch (below(random, 7)) {
        case 0: record[at] ^= static_cast<std::byte>(1U << below(random, 8)); break;
        case 1: record[at] = static_cast<std::byte>(random()); break;
        case 2: {
            const std::uint64_t number = special(random);
            return overwrite(&number, std::size_t{1} << below(random, 4));
        }
        case 3: record.resize(at); break;
        case 4:
            for (std::size_t n = below(random, 40); n > 0; --n) {
                record.push_back(static_cast<std::byte>(random()));
            }
            break;
        default: {  // what another record names: ids, keys, counts, whole values
            const Record& other = others[below(random, others.size())].bytes;
            if (other.empty()) return;
            const std::size_t from = below(random, other.size());
            constexpr std::size_t lengths[] = {1, 4, 8, 8, 16, 16, 16, 64};
            overwrite(other.data() + from,
                      std::min(lengths[below(random, 8)], other.size() - from));
        }
    }
}

/// Rank 0 may say that the job is over, and of rank 0 itself it is: such a rank leaves at once.
bool ends_the_process(const Sent& sent) {
    if (sent.bytes.empty() || static_cast<wire::Kind>(sent.bytes.front()) != wire::Kind::broken) {
        return false;
    }
    constexpr std::string_view words = "rank 0 ";
    const std::string_view text(reinterpret_cast<const char*>(sent.bytes.data()),
                                sent.bytes.size());
    return sent.from == LoneEngine::driver || text.find(words) != std::string_view::npos;
}

class Run {
public:
    Run(std::uint64_t seed, Progress& progress) : random_(seed), progress_(progress) {}

    void go() {
        stage_.emplace();
        for (int n = 0; n < sequences_per_run && sequence(); ++n) {
        }
        stage_.reset();
    }

private:
    /// False when the job has ended.
    bool sequence() {
        static const auto all = all_cases();
        std::vector<Sent> records;
        for (std::size_t n = 1 + below(random_, 4); n > 0; --n) {
            auto at = all.begin();
            std::advance(at, below(random_, all.size()));
            try {  // what the records before have done may leave no place for it
                records.push_back({at->second.make(*stage_), at->second.from});
            } catch (const std::exception&) {
            }
        }
        for (Sent& sent : std::vector<Sent>(records)) {
            if (below(random_, 4) == 0) records.push_back(sent);
        }
        if (below(random_, 2) == 0) std::shuffle(records.begin(), records.end(), random_);
        for (Sent& sent : records) {
            if (below(random_, 3) == 0) continue;  // most changes end the job
            for (std::size_t n = below(random_, 3); n > 0; --n)
                change(sent.bytes, records, random_);
        }
        ++progress_.sequences;
        bool said_so = false;
        for (const Sent& sent : records) {
            if (ends_the_process(sent)) continue;
            said_so = said_so || (!sent.bytes.empty() &&
                                  static_cast<wire::Kind>(sent.bytes[0]) == wire::Kind::broken);
            // All from rank 2: where a rank 0 sends nonsense, the others leave at once.
            stage_->engine.give(sent.bytes, LoneEngine::peer);
            ++progress_.records;
            if (below(random_, 2) == 0) stage_->engine.settle();
        }
        const std::string reason = stage_->engine.reason();
        if (reason.empty()) return true;
        ++progress_.refused;
        if (!said_so && !reason.starts_with("rank 2 sent what rank 1 cannot accept: ")) {
            std::fprintf(stderr, "the job ended with: %s\n", reason.c_str());
            std::abort();
        }
        return false;
    }

    Random random_;
    Progress& progress_;
    std::optional<Stage> stage_;
};

void run(std::uint64_t seed, Progress& progress) {
    progress.run = seed;
    ::alarm(seconds_per_run);
    Run(seed, progress).go();
    ::alarm(0);
}

/// Many runs in a process of their own, so that whatever ends it is told with its seed.
bool runs(std::uint64_t first, Progress& progress) {
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child < 0) return false;
    if (child == 0) {
        // Lines of a job's output are among what it gets.
        if (std::freopen("/dev/null", "w", stdout) == nullptr) ::_exit(1);
        for (std::uint64_t n = 0; n < runs_per_process; ++n) run(first + n, progress);
        ::_exit(0);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) != child) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    std::printf("run %llu ended with status 0x%x%s; again: --run %llu\n",
                static_cast<unsigned long long>(progress.run), static_cast<unsigned>(status),
                WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? " (it hung)" : "",
                static_cast<unsigned long long>(progress.run));
    return false;
}

std::uint64_t option(int argc, char** argv, std::string_view name, std::uint64_t usual) {
    for (int i = 1; i + 1 < argc; ++i) {
        if (argv[i] == name) return std::strtoull(argv[i + 1], nullptr, 10);
    }
    return usual;
}

int fuzz(int argc, char** argv) {
    void* const shared = ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return 1;
    auto& progress = *new (shared) Progress;
    constexpr std::uint64_t none = ~std::uint64_t{0};
    if (const auto one = option(argc, argv, "--run", none); one != none) {
        run(one, progress);
        std::printf("run %llu is sound\n", static_cast<unsigned long long>(one));
        return 0;
    }
    const std::uint64_t sequences = option(argc, argv, "--sequences", none);
    const std::uint64_t seconds = option(argc, argv, "--seconds", sequences == none ? 10 : none);
    std::uint64_t seed = option(argc, argv, "--seed", 1) << 32U;
    const auto begin = std::chrono::steady_clock::now();
    const auto passed = [&] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    };
    bool sound = true;
    while (sound && progress.sequences < sequences && passed() < static_cast<double>(seconds)) {
        sound = runs(seed, progress);
        seed += runs_per_process;
    }
    std::printf("%llu sequences, %llu records, %llu ended the job, %.0f s\n",
                static_cast<unsigned long long>(progress.sequences),
                static_cast<unsigned long long>(progress.records),
                static_cast<unsigned long long>(progress.refused), passed());
    // An engine that refuses nothing or everything was not tried at all.
    const bool tried = progress.refused > progress.sequences / 20 &&
                       progress.refused < progress.sequences - progress.sequences / 20;
    return sound && tried ? 0 : 1;
}

}  // namespace
}  // namespace mobula::runtime::testing

int main(int argc, char** argv) { return mobula::runtime::testing::fuzz(argc, argv); }
