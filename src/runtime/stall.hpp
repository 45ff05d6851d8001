// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "wire/messages.hpp"

namespace mobula::runtime {

/// Somebody who does not go on by himself, or who runs and for whom others wait: a task, a call of
/// an actor's method, the driver. As a rank tells of it when nothing moves. A value, reentrant.
struct Waiting {
    struct Target {
        std::string key;   ///< of the one that is waited for; empty: nobody in the list
        std::string name;  ///< for people: a function, an actor, an object's maker
    };

    std::string key;     ///< the same on all ranks and of nobody else, such as an object's id
    std::string name;    ///< of the function or actor
    unsigned rank = 0;   ///< where it is
    std::string state;   ///< "waits in get", "runs", "queued behind other calls", ...
    double seconds = 0;  ///< for how long it has been so
    bool any = false;    ///< one of the targets is enough; else it needs them all
    std::vector<Target> targets = {};  ///< nobody: it can go on by itself

    void encode(wire::RecordWriter& writer) const;
    /// Throws Error for what encode() never writes.
    [[nodiscard]] static Waiting decode(wire::RecordReader& reader);
};

/// The name in the wait-for graph of an object that another rank owns, or that other ranks wait
/// for.
[[nodiscard]] std::string waiting_key(const ObjectId& id);

/// The name of an object that is completed by hand.
inline constexpr const char* promise_name = "a Promise";

/// A rank that waits for an object of another one knows its number only: names those targets that
/// are a Promise in the list. Pure.
void name_promises(std::vector<Waiting>& all);

/// Writes the first of the list that fit: about a MiB of them.
void put_list(wire::RecordWriter& writer, std::span<const Waiting> list);
/// Throws Error for what put_list() never writes.
[[nodiscard]] std::vector<Waiting> read_list(wire::RecordReader& reader);

/// What a wait-for graph is printed as: first the circles, since they never end by themselves, then
/// who waits behind them, then the rest; equal ones as one line. Ends with a line end. Pure.
///
/// In a circle is who can go on only when somebody goes on who waits for it in turn. Who waits for
/// one of several is in none while one of these can go on. A target that is not in the list is
/// taken for one whose result is on its way.
[[nodiscard]] std::string print_waiting(std::span<const Waiting> all, double stalled_seconds);

/// The members of each circle, by their places in `all`, each waiting for the next one and the last
/// for the first. Of circles that have members in common, one. Pure.
[[nodiscard]] std::vector<std::vector<std::size_t>> find_circles(std::span<const Waiting> all);

inline constexpr std::size_t waiting_lines_max = 100;  ///< printed, besides the circles
inline constexpr std::size_t circle_lines_max = 30;    ///< printed of one circle
inline constexpr std::size_t circles_max = 10;         ///< printed

}  // namespace mobula::runtime
