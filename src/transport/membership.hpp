// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"

namespace mobula::transport {

struct MembershipLimits {
    Duration heartbeat = std::chrono::milliseconds(200);
    /// A watched member that is silent for so long is dead: it is declared so at the earliest then,
    /// and within two heartbeats.
    Duration dead_after = std::chrono::milliseconds(2000);
    /// A member may need longer until it says its first word.
    Duration join_within = std::chrono::milliseconds(20000);
    /// How many members on either side of the ring watch a member. More notice a death earlier when
    /// several members die at once; each costs a small message per heartbeat.
    std::size_t neighbours = 3;
};

/// Who is in the job and who is not any more, as one rank knows it. Pure: events and times go in,
/// news come out; it knows no network and no clock. *Thread-bound* to whoever has the turn.
///
/// The members form a ring in which neighbours sit on different nodes where there are several; each
/// member beats to a few members on either side of it and watches them. So the cost per rank does
/// not grow with the job, and nobody is unwatched. Whoever learns of a death tells others (the
/// caller does the telling), and the ring closes over the gap.
///
/// A member only ever goes joining -> alive -> left or dead, and never back: who comes again
/// comes with a higher incarnation, which is not accepted until the engine can grow.
class Membership {
public:
    enum class State : std::uint8_t {
        joining,  ///< known from the meeting, has not said a word yet
        alive,
        left,  ///< said goodbye: not a failure
        dead,
    };

    /// What to do with a message.
    enum class Verdict : std::uint8_t {
        believe,
        drop,   ///< of an older incarnation, or of nobody in this job
        fence,  ///< the sender was declared dead and does not know it: drop, and tell it so
    };

    struct Death {
        Rank rank{};
        std::string reason;
    };

    /// The answer to tick().
    struct Round {
        std::vector<Rank> beat_to;
        std::vector<Death> deaths;  ///< already noted here; each is reported once
    };

    /// `nodes` and `incarnations` have one entry per rank.
    Membership(Rank self, const std::vector<Node>& nodes, std::vector<Incarnation> incarnations,
               MembershipLimits limits, Time now);

    /// A message came; called for every message, so it only sets a mark.
    Verdict hears(Rank sender, Incarnation incarnation) noexcept;

    /// Something was sent to the member, so it needs no beat in this period.
    void told(Rank rank) noexcept { members_[index(rank)].told = true; }

    /// Whether the member goes from living to dead by this: false when it was gone already.
    bool declare_dead(Rank rank);

    /// Whether the member goes from living to left by this.
    bool declare_left(Rank rank);

    /// To be called about once a heartbeat period, after messages were received. When it comes much
    /// too late this rank itself was held up (stopped, swapped out), so nobody is blamed for that
    /// time.
    [[nodiscard]] Round tick(Time now);

    [[nodiscard]] State state(Rank rank) const noexcept { return members_[index(rank)].state; }
    [[nodiscard]] bool lives(Rank rank) const noexcept {
        return state(rank) == State::joining || state(rank) == State::alive;
    }
    /// The lowest rank that is not dead; the same on all ranks that know of the same deaths.
    [[nodiscard]] Rank first() const noexcept;
    /// Whether no other member lives.
    [[nodiscard]] bool is_last() const noexcept { return others_living_ == 0; }
    [[nodiscard]] Incarnation incarnation(Rank rank) const noexcept {
        return members_[index(rank)].incarnation;
    }

    /// Grows with every member that is gone; tells two views of the job apart.
    [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }

    /// The living members that this one beats to and watches.
    [[nodiscard]] const std::vector<Rank>& neighbours() const noexcept { return neighbours_; }

private:
    struct Member {
        State state = State::joining;
        // Of a neighbour, since the last tick; of others nobody asks.
        bool heard = false;
        bool told = false;
        bool watched = false;  ///< is one of the neighbours
        Incarnation incarnation{};
        Time heard_at{};  ///< or since when it is watched, if that is later
    };

    bool end(Rank rank, State state);
    void choose_neighbours(Time now);

    Rank self_;
    MembershipLimits limits_;
    std::vector<Member> members_;
    std::vector<Rank> ring_;
    std::vector<Rank> neighbours_;
    std::size_t others_living_;
    std::uint64_t epoch_ = 0;
    Time last_tick_;
};

}  // namespace mobula::transport
