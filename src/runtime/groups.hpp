// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <mobula/options.hpp>

#include "base/clock.hpp"
#include "graph/object.hpp"
#include "runtime/network.hpp"
#include "runtime/resources.hpp"
#include "runtime/stall.hpp"
#include "scheduler/resources.hpp"

namespace mobula::runtime {

class Engine;
using detail::CellPtr;

/// Placement groups. The maker chooses the ranks by what they have in all, and then reserves the
/// bundles rank after rank in the order of the ranks, all of one rank at once. A rank that has no
/// room at present answers when it has, first come first served. Since all makers go through the
/// ranks in one order, and none holds a part of what it wants of one, groups that want the same
/// resources wait for each other in no circle. Thread-safe.
class Groups {
public:
    explicit Groups(Engine& engine) : engine_(engine) {}

    [[nodiscard]] static Rank maker_of(std::uint64_t group) noexcept {
        return static_cast<Rank>(group >> number_bits);
    }
    static constexpr unsigned number_bits = 40;  ///< of a group; above them is its maker

    [[nodiscard]] std::uint64_t create(std::vector<scheduler::Amounts> bundles, Strategy strategy,
                                       CellPtr& ready);
    void remove(std::uint64_t group);

    void on_hold(Rank from, const wire::HoldGroup& message, wire::RecordReader& tail);
    void on_held(Rank from, const wire::HeldGroup& message);
    void on_free(Rank from, const wire::FreeGroup& message);

    /// Resources of this rank were given back: reservations that waited may go on.
    void retry();

    // For the graph of who waits for whom.
    /// Reservations that wait for resources of this rank.
    void list(std::vector<Waiting>& all);
    /// The group of this rank of which the object says that it is ready, if it is one.
    [[nodiscard]] std::optional<Waiting::Target> target_of(const graph::Object& ready);
    [[nodiscard]] static std::string key_of(std::uint64_t group);
    [[nodiscard]] static std::string name_of(std::uint64_t group);

private:
    struct Bundle {
        Rank rank;
        unsigned number;
        scheduler::Amounts amounts;
    };
    struct Group {
        std::vector<Bundle> bundles;  ///< in the order of the ranks
        std::size_t held = 0;
        CellPtr ready;

        /// Behind the last bundle that the next rank is asked for.
        [[nodiscard]] std::size_t end_of_rank() const noexcept;
    };
    struct Request {
        Rank maker;
        std::uint64_t group;
        std::vector<ResourceGate::NumberedBundle> bundles;
        Time since = Clock::now();
    };

    void reserve_next(std::uint64_t group);
    void check_new(const Request& request);
    void reserve_here(Request request);
    void answer(const Request& request);
    void granted(std::uint64_t group, Rank holder);
    void give_back(std::uint64_t group, Rank holder);
    void free_here(std::uint64_t group);

    Engine& engine_;
    std::mutex mutex_;  ///< taken before that of the resources where both are
    std::unordered_map<std::uint64_t, Group> groups_;  ///< made by this rank
    std::vector<Request> waiting_;                     ///< for resources of this rank
    std::uint64_t next_ = 1;
};

}  // namespace mobula::runtime
