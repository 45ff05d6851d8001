// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/ids.hpp"
#include "base/rank_index.hpp"
#include "scheduler/resources.hpp"

namespace mobula::scheduler {

/// Which ranks have what a demand asks for when nothing runs there, and which of them this rank
/// chooses next. Pure.
///
/// Ranks that have the same form one class, and a decision looks at classes: of a job on equal
/// nodes there is one. Within a class the ranks are chosen in turn; for ranks that were chosen out
/// of turn a count says how often they are passed over for that. So each decision takes the rank
/// that was chosen least so far, the lowest of several, without a count for every rank. Reentrant.
class Choice {
public:
    /// The next rank, in the order of the ranks, has so much in all and is on the node.
    void join(const Amounts& total, Node node);

    [[nodiscard]] std::size_t ranks() const noexcept { return ranks_; }
    [[nodiscard]] const Amounts& total(Rank rank) const;
    /// Of all ranks, in their order: for what looks at all of them.
    [[nodiscard]] std::vector<Amounts> totals() const;
    /// In their order; empty for a node that the job does not have.
    [[nodiscard]] std::vector<Rank> ranks_of(Node node) const;

    [[nodiscard]] bool fits(Rank rank, const Amounts& demand) const;
    [[nodiscard]] bool fits_on(Node node, const Amounts& demand) const;
    [[nodiscard]] bool fits_anywhere(const Amounts& demand) const;

    // Each of these chooses a rank that has what is asked, which must be there.

    /// The one that was chosen least so far.
    [[nodiscard]] Rank least(const Amounts& demand);
    /// The same of one node; looks at all ranks of the node.
    [[nodiscard]] Rank least_on(Node node, const Amounts& demand);
    /// The one that is next in turn: one class behind the other, in each the ranks in their order.
    [[nodiscard]] Rank in_turn(const Amounts& demand, std::uint64_t turn);
    /// The lowest.
    [[nodiscard]] Rank first(const Amounts& demand);
    /// The caller chose the rank itself.
    void chose(Rank rank);

    /// Classes, and ranks of a node, that decisions have looked at so far.
    [[nodiscard]] std::uint64_t looked_at() const noexcept { return looked_at_; }
    /// Ranks that a count is kept for.
    [[nodiscard]] std::size_t counted() const noexcept { return out_of_turn_.size(); }

private:
    /// Ranks side by side, behind `before` others of their class or node.
    struct Run {
        std::uint32_t first, count, before;
    };
    struct Runs {
        std::vector<Run> runs;
        std::uint32_t size = 0;

        void add(std::uint32_t rank);
        [[nodiscard]] Rank at(std::uint32_t place) const;
        [[nodiscard]] std::uint32_t place_of(Rank rank) const;
    };
    struct Class {
        Amounts total;
        Runs members;
        std::uint64_t rounds = 0;  ///< all members had so many turns
        std::uint32_t next = 0;    ///< the next member in turn
    };
    struct Stretch {
        std::uint32_t first;
        std::size_t of;
    };

    [[nodiscard]] std::size_t class_of(Rank rank) const;
    [[nodiscard]] std::uint64_t times_chosen(Rank rank) const;
    static void end_turn(Class& one) noexcept;
    void pass_over(Class& one);

    std::uint32_t ranks_ = 0;
    std::vector<Class> classes_;
    std::vector<Stretch> stretches_;  ///< of ranks of one class, in the order of the ranks
    std::map<Node, Runs> nodes_;
    RankIndex out_of_turn_;
    std::vector<std::uint64_t> passes_;  ///< by number there: so many turns are passed over
    mutable std::uint64_t looked_at_ = 0;
};

}  // namespace mobula::scheduler
