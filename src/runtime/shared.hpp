// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "base/pool.hpp"
#include "base/rank_index.hpp"
#include "graph/object.hpp"
#include "graph/ownership.hpp"
#include "wire/messages.hpp"

namespace mobula::graph {

/// What this rank knows of an object that other ranks know too. Guarded by the exchange's mutex.
///
/// It outlives its object while blocks of the object's bytes are still in use here: they, and the
/// object, are its `pins`. When the last pin goes, the owner is told (held), or the copy freed.
struct Shared : Pooled {
    enum class Role : std::uint8_t {
        owned,  ///< this rank owns the object
        held,   ///< another rank owns it, this one has references
        copy,   ///< another rank owns it, its bytes were made here and are kept for all
    };
    struct Subscriber {
        Rank rank;
        bool value;
    };
    /// Fires when the owned object is done.
    struct Watch : Waiter {
        Shared* shared = nullptr;
        void* exchange = nullptr;
    };

    Role role = Role::owned;
    ObjectId id{};             ///< of a copy: the owner is this rank
    Object* object = nullptr;  ///< null once no reference is left here
    std::uint32_t pins = 1;

    bool located = false;  ///< its bytes are kept at `place`, not at the owner
    wire::Place place{};

    // owned and copy
    Holders holders;
    CellPtr keep;                        ///< the object, while others need it
    std::unique_ptr<Encoded> published;  ///< its travelling form, where it is worth keeping
    std::vector<Subscriber> subscribers;
    std::unique_ptr<RankIndex> subscriber_numbers;  ///< their places there, when they are many
    Watch watch;
    bool is_actor = false;
    Rank actor_rank{};
    bool actor_watched = false;  ///< its rank will tell of its death
    FailurePtr actor_death;

    /// Once for each rank, however often it takes up the object and lets it go again.
    void subscribe(Rank rank, bool value) {
        const std::size_t at = place_of_subscriber(rank);
        if (at == subscribers.size()) subscribers.push_back({rank, false});
        subscribers[at].value = subscribers[at].value || value;
    }
    std::vector<Subscriber> take_subscribers() noexcept {
        subscriber_numbers.reset();
        return std::exchange(subscribers, {});
    }

    /// Up to here they are searched one by one.
    static constexpr std::size_t few_subscribers_max = 8;
    /// The end where it is new, which it is no more then.
    std::size_t place_of_subscriber(Rank rank) {
        if (subscribers.size() < few_subscribers_max) {
            return static_cast<std::size_t>(
                std::find_if(subscribers.begin(), subscribers.end(),
                             [&](const Subscriber& one) { return one.rank == rank; }) -
                subscribers.begin());
        }
        if (subscriber_numbers == nullptr) {
            subscriber_numbers = std::make_unique<RankIndex>();
            for (const Subscriber& one : subscribers) subscriber_numbers->add(one.rank);
        }
        return subscriber_numbers->add(rank);
    }

    // held
    std::int64_t grants = 0;  ///< references that were sent here
    bool subscribed = false;
    bool value_wanted = false;
    bool fetching = false;
};

}  // namespace mobula::graph
