// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/ids.hpp"
#include "base/pool.hpp"
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
    Watch watch;
    bool is_actor = false;
    Rank actor_rank{};
    bool actor_watched = false;  ///< its rank will tell of its death
    FailurePtr actor_death;

    /// Once for each rank, however often it takes up the object and lets it go again.
    void subscribe(Rank rank, bool value) {
        for (Subscriber& subscriber : subscribers) {
            if (subscriber.rank != rank) continue;
            subscriber.value = subscriber.value || value;
            return;
        }
        subscribers.push_back({rank, value});
    }

    // held
    std::int64_t grants = 0;  ///< references that were sent here
    bool subscribed = false;
    bool value_wanted = false;
    bool fetching = false;
};

}  // namespace mobula::graph
