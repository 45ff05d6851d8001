// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <type_traits>

namespace mobula {

/// Named amounts beyond CPUs and GPUs, such as {"accel", 1}. Logical: the engine counts them and
/// binds nothing. Fractions down to 0.0001 are kept.
using Resources = std::map<std::string, double>;

class PlacementGroup;

/// The place where a task or an actor runs. By default the engine chooses: the rank with most of
/// the input bytes, else the one with the least load.
struct Placement {
    enum class Kind : std::uint8_t { automatic, spread, pack, rank, node, bundle };

    Kind kind = Kind::automatic;
    unsigned target = 0;  ///< the rank, node or bundle
    bool hard = true;     ///< false: a wish; another rank is taken where the target cannot
    std::uint64_t group = 0;
    unsigned home = 0;  ///< the rank of the bundle

    /// On the next rank in turn.
    static Placement spread() { return {Kind::spread, 0, false, 0}; }
    /// On as few ranks as the demands allow, this rank first.
    static Placement pack() { return {Kind::pack, 0, false, 0}; }
    static Placement on_rank(unsigned rank, bool hard = true) {
        return {Kind::rank, rank, hard, 0};
    }
    static Placement on_node(unsigned node, bool hard = true) {
        return {Kind::node, node, hard, 0};
    }
};

/// How the bundles of a placement group are laid out: on few ranks or on many, as a wish or
/// strictly (all on one rank; each on a rank of its own).
enum class Strategy : std::uint8_t { pack, spread, strict_pack, strict_spread };

/// Options of one task, as designated initialisers:
/// `remote<simulate>({.cpus = 2, .max_retries = 0}, seed)`.
struct TaskOptions {
    /// Shown in errors, statistics and waiting graphs; empty: the function's name.
    std::string name = {};
    /// CPUs (workers) that the task occupies on its rank while it runs, in fractions.
    double cpus = 1;
    /// GPUs; mobula::gpus() returns their numbers in the task.
    double gpus = 0;
    Resources resources = {};
    /// The largest number of further runs; -1: no limit. For now only a task that throws with
    /// `retry_exceptions` set runs again, because the death of a rank ends the job.
    int max_retries = 3;
    /// Run the task again when it throws. Parameters by value are copied for each run; the
    /// submission throws BadInput for one that can only be moved.
    bool retry_exceptions = false;
    Placement placement = {};
    /// Any int. Among what is ready on a rank the higher priority begins first, always: a task
    /// waits as long as there are tasks and calls of a higher one. What has begun is not
    /// interrupted. At the same priority, calls of actors go before tasks.
    int priority = 0;
    /// For a task that yields a stream: the number of items that it may be ahead of the consumer
    /// before it waits; at least 1.
    std::size_t stream_window = 16;
};

/// Options of an actor, as for tasks.
struct ActorOptions {
    /// The name for find<A>(name); unique in the job while the actor lives.
    std::string name = {};
    /// Kept from all tasks for the actor's whole life, lent while its methods wait. 0: it shares.
    double cpus = 0;
    double gpus = 0;
    Resources resources = {};
    /// The number of methods that may be under way at once, at least 1; with more than 1 calls have
    /// no order.
    unsigned max_concurrency = 1;
    Placement placement = {};
    /// Any int: for the constructor, and for calls without a priority of their own. The next call
    /// of an actor begins before the tasks of its priority and of lower ones that are ready on its
    /// rank, however many; after 64 calls in a row one of the tasks of the same priority goes
    /// first. The order of an actor's calls is not changed.
    int priority = 0;
};

/// Options of one call of an actor: `actor.call<&Store::find>({.priority = 1}, key)`.
struct CallOptions {
    /// Instead of the actor's, see ActorOptions::priority.
    std::optional<int> priority = {};
};

namespace detail {

/// What `{}` is taken for, so that it cannot mean one of the others.
enum class NoOptions {};

/// What is given for an option that is of another type, or that there is not.
struct AnyNumber {
    template <class N>
        requires std::is_arithmetic_v<N>
    AnyNumber(N) {}  // NOLINT(google-explicit-constructor)
};
struct Anything {
    template <class T>
    Anything(const T&) {}  // NOLINT(google-explicit-constructor)
};

/// What options are called elsewhere: there only to say what they are called here.
struct ForeignOptions {
    double cpu = 1, gpu = 0, num_cpus = 1, num_gpus = 0, memory = 0;
    int num_returns = 1, retries = 0, max_task_retries = 0, max_restarts = 0;
    const char* scheduling_strategy = nullptr;
    const char* lifetime = nullptr;
    const char* runtime_env = nullptr;
    Anything timeout = 0;
    AnyNumber placement = 0;
};

template <class Options>
void refuse_options(const Options&) {
    static_assert(!std::is_same_v<Options, ForeignOptions>,
                  "mobula: an unknown option: num_cpus and cpu are called cpus, num_gpus and gpu "
                  "gpus, max_task_retries and retries max_retries, scheduling_strategy placement; "
                  "memory is one of the resources; num_returns is a std::tuple's; a time limit "
                  "belongs to the wait: get(ref, 5s); a placement is no number: "
                  "Placement::on_rank(1); there is no max_restarts, lifetime or runtime_env");
}

}  // namespace detail
}  // namespace mobula
