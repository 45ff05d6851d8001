// SPDX-License-Identifier: Apache-2.0
// Goal: what the other programs try one by one holds for all of it mixed. Method: a random graph
// of tasks, methods, objects, streams, failures and dropped Refs is submitted while the same
// numbers are worked out serially; every node must have the serial value, and none of the values'
// own code may have run where the network is driven. Arguments: seed, nodes.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/driving.hpp"
#include "support/checks.hpp"

namespace {

using namespace mobula;
using namespace mobula::testing;

std::atomic<int> runs{0}, runs_in_turn{0};
/// Code of the user's runs, which keeps the network waiting where it is driven.
void note_run() noexcept {
    ++runs;
    if (Driving::now()) ++runs_in_turn;
}
int count_runs() { return runs.load(); }
int count_runs_in_turn() { return runs_in_turn.load(); }

/// A number with ballast, so that some nodes travel inside messages and some do not.
struct Value {
    using value_type = char;

    std::uint64_t number = 0;
    std::vector<char> ballast;

    Value() = default;
    Value(std::uint64_t n, std::vector<char> b) : number(n), ballast(std::move(b)) {}
    Value(const Value&) = default;
    Value(Value&&) noexcept = default;
    Value& operator=(const Value&) = default;
    Value& operator=(Value&&) noexcept = default;
    ~Value() { note_run(); }
    template <class Archive>
    void serialize(Archive& archive) {
        note_run();
        archive(number, ballast);
    }
    [[nodiscard]] std::size_t size() const noexcept {
        note_run();
        return ballast.size();
    }
};
struct Thrown : std::runtime_error {
    using std::runtime_error::runtime_error;
    ~Thrown() override { note_run(); }
};

constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
    a = (a ^ (b + 0x9e3779b97f4a7c15U + (a << 6U) + (a >> 2U))) * 0xbf58476d1ce4e5b9U;
    return a ^ (a >> 31U);
}
Value value(std::uint64_t number, std::size_t bytes) {
    return {number, std::vector<char>(bytes, static_cast<char>(number))};
}
void sound(const Value& v) {
    for (const char c : v.ballast) check(c == static_cast<char>(v.number), "ballast was changed");
}

Value combine(const Value& a, Value b, std::size_t bytes) {
    sound(a);
    sound(b);
    return value(mix(a.number, b.number), bytes);
}
/// Gets its inputs itself, through tasks of its own.
Value nested(std::vector<Ref<Value>> inputs, std::size_t bytes) {
    Ref<Value> sum = put(value(7, 0));
    for (const auto& input : inputs) sum = remote<combine>(sum, input, bytes);
    return get(sum);
}
Value thrower(const Value& a) { throw Thrown(std::to_string(a.number)); }
Value catcher(Ref<Value> ref) {
    try {
        return get(ref);
    } catch (const TaskError& error) {
        return value(std::stoull(error.message()) + 1, 10);
    }
}
Generator<Value> parts(Value a, int count) {
    for (int i = 0; i < count; ++i) {
        co_yield value(mix(a.number, static_cast<std::uint64_t>(i)), a.ballast.size());
    }
}
Value last_part(const Value& a, int count) {
    Value last;
    for (const auto& item : remote<parts>(a, count)) last = get(item);
    return last;
}

/// Its state depends on the order of its calls.
class Mixer {
public:
    explicit Mixer(std::uint64_t start) : state_(start) {}
    Value add(const Value& v) {
        sound(v);
        state_ = mix(state_, v.number);
        return value(state_, v.ballast.size());
    }
    Value look(Ref<Value> ref) {
        const Value v = get(ref);
        state_ = mix(state_, v.number + 1);
        return value(state_, 5);
    }

private:
    std::uint64_t state_;
};

class Story {
public:
    Story(std::uint64_t seed, std::size_t nodes) : random_(seed), nodes_(nodes) {
        for (std::uint64_t i = 0; i < 6; ++i) {
            actors_.push_back(spawn<Mixer>(
                {.placement = i < 3 ? Placement::on_rank(pick(ranks())) : Placement{}}, i));
            states_.push_back(i);
        }
        for (std::uint64_t i = 0; i < 8; ++i) enter(put(value(i, i * 100)), i);
    }

    void tell() {
        for (std::size_t i = 0; i < nodes_; ++i) step();
        for (std::size_t i = 0; i < refs_.size(); ++i) {
            if (!refs_[i]) continue;
            const Value got = get(*refs_[i]);
            sound(got);
            check_equal(got.number, numbers_[i], "node " + std::to_string(i));
        }
    }

private:
    unsigned pick(std::size_t below) { return static_cast<unsigned>(random_() % below); }
    void enter(Ref<Value> ref, std::uint64_t number) {
        refs_.emplace_back(std::move(ref));
        numbers_.push_back(number);
    }
    /// Mostly a recent node, which is likely not ready yet.
    std::size_t node() {
        for (;;) {
            const std::size_t back =
                pick(4) == 0 ? pick(refs_.size()) : pick(std::min<std::size_t>(refs_.size(), 30));
            const std::size_t i = refs_.size() - 1 - back;
            if (refs_[i]) return i;
        }
    }
    TaskOptions options() {
        switch (pick(4)) {
            case 0: return on(pick(ranks()));
            case 1: return {.placement = Placement::spread()};
            case 2: return {.priority = static_cast<int>(pick(3))};
            default: return {};
        }
    }
    std::size_t bytes() {
        constexpr std::size_t sizes[] = {0, 10, 1000, 5000, 70'000};
        return sizes[pick(5)];
    }

    void step() {
        const std::size_t a = node(), b = node();
        switch (pick(10)) {
            case 0:
            case 1:
            case 2:
                return enter(remote<combine>(options(), *refs_[a], *refs_[b], bytes()),
                             mix(numbers_[a], numbers_[b]));
            case 3: {
                std::vector<Ref<Value>> inputs;
                std::uint64_t number = 7;
                for (unsigned left = 1 + pick(4); left > 0; --left) {
                    const std::size_t n = node();
                    inputs.push_back(*refs_[n]);
                    number = mix(number, numbers_[n]);
                }
                return enter(remote<nested>(options(), inputs, bytes()), number);
            }
            case 4:
            case 5: {
                const std::size_t actor = pick(actors_.size());
                states_[actor] = mix(states_[actor], numbers_[a]);
                return enter(actors_[actor].call<&Mixer::add>(*refs_[a]), states_[actor]);
            }
            case 6: {
                const std::size_t actor = pick(actors_.size());
                states_[actor] = mix(states_[actor], numbers_[a] + 1);
                return enter(actors_[actor].call<&Mixer::look>(*refs_[a]), states_[actor]);
            }
            case 7:
                return enter(remote<catcher>(options(), remote<thrower>(options(), *refs_[a])),
                             numbers_[a] + 1);
            case 8: {
                const int count = 1 + static_cast<int>(pick(40));
                return enter(remote<last_part>(options(), *refs_[a], count),
                             mix(numbers_[a], static_cast<std::uint64_t>(count - 1)));
            }
            default:
                // Forget one, make a useless task, or take a value early.
                if (pick(3) == 0) {
                    check_equal(get(*refs_[a]).number, numbers_[a], "a node taken early");
                } else if (pick(2) == 0) {
                    cancel(remote<combine>(options(), *refs_[a], *refs_[b], bytes()));
                } else if (refs_.size() > 50) {
                    refs_[pick(refs_.size() - 40)].reset();
                }
        }
    }

    std::mt19937_64 random_;
    std::size_t nodes_;
    std::vector<Actor<Mixer>> actors_;
    std::vector<std::uint64_t> states_, numbers_;
    std::vector<std::optional<Ref<Value>>> refs_;
};

void tell(std::uint64_t seed, std::size_t nodes) { Story(seed, nodes).tell(); }

int driver(Job& job) {
    const std::uint64_t seed = job.arguments.size() > 1 ? std::stoull(job.arguments[1]) : 1;
    const std::size_t nodes = job.arguments.size() > 2 ? std::stoull(job.arguments[2]) : 1500;
    std::printf("seed %llu, %zu nodes\n", static_cast<unsigned long long>(seed), nodes);
    tell(seed, nodes);
    // The same told by every rank at once.
    std::vector<Ref<void>> tellers;
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        tellers.push_back(remote<tell>(on(rank), seed + rank + 1, nodes / job.ranks));
    }
    get(tellers);
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        check(get(remote<count_runs>(on(rank))) != 0, "no code of the values ran");
        check_equal(get(remote<count_runs_in_turn>(on(rank))), 0,
                    "runs of the values' code where the network is driven");
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
