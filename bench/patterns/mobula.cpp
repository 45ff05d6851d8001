// SPDX-License-Identifier: Apache-2.0

/// The dependency patterns with mobula, a task per point. In variants `values` and `refs` an actor
/// per rank submits the tasks of its own block of points and nothing goes through rank 0. With
/// `values` it calls its neighbour with the result that the neighbour reads: the call leaves when
/// the task has run, with the value inside, as the message of an MPI program does. With `refs` it
/// sends the neighbour the Refs before the tasks have run, a call per step and neighbour, and the
/// engine brings the values. Variant `central`: the driver submits all tasks, each on the rank that
/// has its point.

#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <mobula/mobula.hpp>
#include <stdexcept>
#include <utility>

#include "patterns/report.hpp"

namespace {

using namespace patterns;

/// What the tasks of this rank share; set by prepare() before any of them runs.
struct Shared {
    Problem problem;
    std::optional<Edges> edges;
    /// Tasks run by each worker, a cache line apart.
    struct alignas(64) Count {
        std::uint64_t tasks = 0;
    };
    std::vector<Count> counts;
};
Shared shared;

void prepare(const Problem& problem) {
    shared.problem = problem;
    shared.edges.emplace(problem);
    shared.counts.assign(mobula::workers(), {});
}

std::uint64_t tasks_run() {
    std::uint64_t sum = 0;
    for (const Shared::Count& count : shared.counts) sum += count.tasks;
    return sum;
}

struct Where {
    std::uint32_t t = 0, p = 0;
};

template <std::size_t stamps>
Output<stamps> run_task(Where where, std::span<const Output<stamps>* const> inputs) {
    Output<stamps> output;
    run_point<stamps>(shared.problem, *shared.edges, where.t, where.p, inputs, output);
    ++shared.counts[mobula::worker_id()].tasks;
    return output;
}

/// The task with a fixed number of inputs, each a dependency.
template <std::size_t stamps, class Numbers>
struct Point;
template <std::size_t stamps, std::size_t... i>
struct Point<stamps, std::index_sequence<i...>> {
    template <std::size_t>
    using Input = const Output<stamps>&;
    using Inputs = std::span<const mobula::Ref<Output<stamps>>>;

    static Output<stamps> run(Where where, Input<i>... inputs) {
        const std::array<const Output<stamps>*, sizeof...(i)> all{&inputs...};
        return run_task<stamps>(where, all);
    }
    static mobula::Ref<Output<stamps>> submit(const mobula::TaskOptions* options, Where where,
                                              [[maybe_unused]] Inputs inputs) {
        if (options == nullptr) return mobula::remote<run>(where, inputs[i]...);
        return mobula::remote<run>(*options, where, inputs[i]...);
    }
};

/// The task with any number of inputs: it gets them itself.
template <std::size_t stamps>
Output<stamps> run_wide(Where where, const std::vector<mobula::Ref<Output<stamps>>>& inputs) {
    const std::vector<Output<stamps>> values = mobula::get(inputs);
    std::vector<const Output<stamps>*> all;
    for (const Output<stamps>& value : values) all.push_back(&value);
    return run_task<stamps>(where, all);
}

constexpr std::size_t inputs_max = 16;

template <std::size_t stamps>
mobula::Ref<Output<stamps>> submit(const mobula::TaskOptions* options, Where where,
                                   const std::vector<mobula::Ref<Output<stamps>>>& inputs) {
    using Submit = mobula::Ref<Output<stamps>> (*)(const mobula::TaskOptions*, Where,
                                                   std::span<const mobula::Ref<Output<stamps>>>);
    static constexpr auto table = []<std::size_t... n>(std::index_sequence<n...>) {
        return std::array<Submit, sizeof...(n)>{
            Point<stamps, std::make_index_sequence<n>>::submit...};
    }(std::make_index_sequence<inputs_max + 1>());
    if (inputs.size() < table.size()) return table[inputs.size()](options, where, inputs);
    if (options == nullptr) return mobula::remote<run_wide<stamps>>(where, inputs);
    return mobula::remote<run_wide<stamps>>(*options, where, inputs);
}

/// Submits the tasks of one rank's points, step after step, as the Refs they read become known.
template <std::size_t stamps>
class Block {
public:
    using Item = mobula::Ref<Output<stamps>>;

    Block(std::uint32_t number, std::uint32_t count, bool values)
        : values_(values),
          number_(number),
          blocks_{shared.problem.width, count},
          before_(shared.problem.width),
          now_(shared.problem.width) {
        const Problem& problem = shared.problem;
        if (count > 1) options_.placement = mobula::Placement::on_rank(mobula::rank());
        exchanges_.resize(step_classes(problem));
        for (std::uint32_t c = 0; c < exchanges_.size(); ++c) {
            std::uint32_t t = 1;
            while (step_class(problem, t) != c) ++t;
            for (std::uint32_t other = 0; other < count; ++other) {
                if (other == number) continue;
                exchanges_[c].push_back({other, shared.edges->halo(blocks_, t, number, other),
                                         shared.edges->halo(blocks_, t, other, number)});
            }
        }
    }

    void meet(std::vector<mobula::Actor<Block>> peers) { peers_ = std::move(peers); }
    void start() { advance(); }

    /// The Refs of step t-1 that block `from` has for this one, in the order of halo(). They come
    /// in the order of their steps, for one caller's calls do.
    void take(std::uint32_t from, std::vector<Item> refs) {
        arrived_[from].push_back(std::move(refs));
        advance();
    }

    /// A value of step t-1 for step t, in the same order.
    void take_value(std::uint32_t from, std::uint32_t t, const Output<stamps>& value) {
        std::vector<Item>& refs = partial_[from];
        refs.push_back(mobula::put(value));
        const std::vector<Exchange>& all = exchanges_[step_class(shared.problem, t)];
        // Exchanges are in the order of the blocks, without this one.
        if (refs.size() < all[from - (from > number_ ? 1 : 0)].in.size()) return;
        arrived_[from].push_back(std::exchange(refs, {}));
        advance();
    }

    /// Waits until all tasks of this block have run; gives how many the rank ran.
    std::uint64_t finish() {
        for (const Item& item : leaves_) mobula::view(item);
        return tasks_run();
    }

    /// Whether all tasks are submitted.
    [[nodiscard]] bool complete() const { return step_ == shared.problem.steps; }

private:
    struct Exchange {
        std::uint32_t peer;
        std::vector<std::uint32_t> out, in;
    };

    /// Submits all steps whose inputs are known.
    void advance() {
        while (step_ < shared.problem.steps && collect(step_)) submit_step(step_++);
    }

    /// Puts the neighbours' Refs for step t in place, if all have come.
    bool collect(std::uint32_t t) {
        if (t == 0) return true;
        const std::vector<Exchange>& all = exchanges_[step_class(shared.problem, t)];
        for (const Exchange& each : all) {
            if (!each.in.empty() && arrived_[each.peer].empty()) return false;
        }
        for (const Exchange& each : all) {
            if (each.in.empty()) continue;
            std::vector<Item>& refs = arrived_[each.peer].front();
            for (std::size_t i = 0; i < refs.size(); ++i) {
                before_[each.in[i]] = std::move(refs[i]);
            }
            arrived_[each.peer].pop_front();
        }
        return true;
    }

    void submit_step(std::uint32_t t) {
        const Problem& problem = shared.problem;
        const Edges& edges = *shared.edges;
        const std::uint32_t end = std::min(blocks_.first(number_ + 1), active(problem, t));
        for (std::uint32_t p = blocks_.first(number_); p < end; ++p) {
            inputs_.clear();
            for (const std::uint32_t q : edges.predecessors(t, p)) inputs_.push_back(before_[q]);
            now_[p] = submit<stamps>(blocks_.count > 1 ? &options_ : nullptr, Where{t, p}, inputs_);
            if (!edges.is_read(t, p)) leaves_.push_back(now_[p]);
        }
        if (t + 1 < problem.steps) {
            for (const Exchange& each : exchanges_[step_class(problem, t + 1)]) {
                if (each.out.empty()) continue;
                if (values_) {
                    for (const std::uint32_t q : each.out) {
                        peers_[each.peer].template call<&Block::take_value>(number_, t + 1,
                                                                            now_[q]);
                    }
                    continue;
                }
                std::vector<Item> refs;
                for (const std::uint32_t q : each.out) refs.push_back(now_[q]);
                peers_[each.peer].template call<&Block::take>(number_, std::move(refs));
            }
        }
        std::swap(before_, now_);
    }

    bool values_;
    std::uint32_t number_;
    Blocks blocks_;
    mobula::TaskOptions options_;
    std::vector<std::vector<Exchange>> exchanges_;
    std::vector<mobula::Actor<Block>> peers_;
    std::map<std::uint32_t, std::deque<std::vector<Item>>> arrived_;
    std::map<std::uint32_t, std::vector<Item>> partial_;
    std::vector<Item> before_, now_, inputs_, leaves_;
    std::uint32_t step_ = 0;
};

/// Lets the driver wait for a time without keeping its worker: it waits for a task that waits for
/// itself.
class Pause {
public:
    Pause() {
        begun = over = false;
        itself = mobula::remote<nap>({.placement = mobula::Placement::on_rank(mobula::rank())});
        begun = true;
    }
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;
    ~Pause() {
        over = true;
        mobula::wait(std::vector{itself});
        itself = {};
    }
    void wait() { mobula::wait(std::vector{itself}, 1, std::chrono::microseconds(200)); }

private:
    static void nap() {
        while (!begun) mobula::yield();
        while (!over) mobula::wait(std::vector{itself}, 1, std::chrono::milliseconds(1));
    }
    static inline mobula::Ref<void> itself;
    static inline std::atomic<bool> begun, over;
};

/// Calls prepare() on all ranks.
void prepare_all(const Problem& problem) {
    std::vector<mobula::Ref<void>> done;
    for (unsigned r = 0; r < mobula::ranks(); ++r) {
        done.push_back(
            mobula::remote<prepare>({.placement = mobula::Placement::on_rank(r)}, problem));
    }
    mobula::get(done);
}

template <std::size_t stamps>
double run_blocks(const Problem& problem, bool values) {
    prepare_all(problem);
    std::vector<mobula::Actor<Block<stamps>>> blocks;
    for (unsigned r = 0; r < mobula::ranks(); ++r) {
        blocks.push_back(mobula::spawn<Block<stamps>>({.placement = mobula::Placement::on_rank(r)},
                                                      r, mobula::ranks(), values));
    }
    std::vector<mobula::Ref<void>> done;
    for (const auto& block : blocks) {
        done.push_back(block.template call<&Block<stamps>::meet>(blocks));
    }
    mobula::get(done);
    const double start = seconds_now();
    for (const auto& block : blocks) block.template call<&Block<stamps>::start>();
    Pause pause;
    for (const auto& block : blocks) {
        // No call may wait inside the block, for it has to take what the neighbours send; so the
        // driver asks now and then, seldom enough not to disturb.
        while (!mobula::get(block.template call<&Block<stamps>::complete>())) pause.wait();
    }
    std::uint64_t tasks = 0;
    for (const auto& block : blocks) {
        tasks += mobula::get(block.template call<&Block<stamps>::finish>());
    }
    const double seconds = seconds_now() - start;
    if (tasks != shared.edges->tasks()) throw std::runtime_error("not every task ran once");
    // The blocks know each other: without this the handles they hold keep them alive for ever.
    for (const auto& block : blocks) {
        mobula::get(
            block.template call<&Block<stamps>::meet>(std::vector<mobula::Actor<Block<stamps>>>()));
    }
    return seconds;
}

template <std::size_t stamps>
double run_central(const Problem& problem) {
    prepare_all(problem);
    const Blocks blocks{problem.width, mobula::ranks()};
    std::vector<mobula::TaskOptions> options(mobula::ranks());
    for (unsigned r = 0; r < mobula::ranks(); ++r) {
        options[r].placement = mobula::Placement::on_rank(r);
    }
    using Item = mobula::Ref<Output<stamps>>;
    std::vector<Item> before(problem.width);
    std::vector<Item> now(problem.width);
    std::vector<Item> inputs;
    std::vector<Item> leaves;
    const Edges& edges = *shared.edges;
    const double start = seconds_now();
    for (std::uint32_t t = 0; t < problem.steps; ++t) {
        for (std::uint32_t p = 0; p < active(problem, t); ++p) {
            inputs.clear();
            for (const std::uint32_t q : edges.predecessors(t, p)) inputs.push_back(before[q]);
            now[p] = submit<stamps>(mobula::ranks() > 1 ? &options[blocks.owner(p)] : nullptr,
                                    Where{t, p}, inputs);
            if (!edges.is_read(t, p)) leaves.push_back(now[p]);
        }
        std::swap(before, now);
    }
    for (const Item& item : leaves) mobula::view(item);
    const double seconds = seconds_now() - start;
    std::uint64_t tasks = 0;
    for (unsigned r = 0; r < mobula::ranks(); ++r) {
        tasks +=
            mobula::get(mobula::remote<tasks_run>({.placement = mobula::Placement::on_rank(r)}));
    }
    if (tasks != edges.tasks()) throw std::runtime_error("not every task ran once");
    return seconds;
}

int driver(mobula::Job& job) {
    Request request;
    const int code = read_request(request, "dependency patterns, mobula", job.arguments,
                                  {"values", "refs", "central"});
    if (code >= 0) return code;
    for_each_problem(request, [&](const Edges& edges) {
        std::vector<double> seconds;
        for (std::uint32_t round = 0; round < request.rounds; ++round) {
            seconds.push_back(with_bytes(request.bytes, [&]<std::size_t stamps>() {
                return request.variant == "central"
                           ? run_central<stamps>(request.problem)
                           : run_blocks<stamps>(request.problem, request.variant == "values");
            }));
        }
        report(request, "mobula", mobula::ranks(), mobula::ranks() * mobula::workers(), edges,
               std::move(seconds));
    });
    return 0;
}

}  // namespace

int main(int argc, char** argv) { return mobula::run(argc, argv, driver); }
