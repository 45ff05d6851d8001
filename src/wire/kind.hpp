// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace mobula::wire {

/// The first byte of every record.
enum class Kind : std::uint8_t {
    task,           ///< run this
    result,         ///< one result of a task, or the failure of all
    recall,         ///< give back tasks of mine that have not started
    returned,       ///< these
    room,           ///< my workers idle again: send what you kept from me
    cancel,         ///< a task of mine that you have
    cancel_object,  ///< the task that makes your object
    subscribe,      ///< tell me when your object is done
    done,           ///< it is: here, there, or failed
    fetch,          ///< give me the value that you keep
    value,          ///< this
    grant,          ///< I gave a reference to your object to another rank
    release,        ///< I hold your object no more
    drop,           ///< nobody needs the value that you keep for me
    spawn,          ///< make this actor
    call,           ///< call its method
    end_actor,      ///< nobody has a handle any more
    kill_actor,
    watch_actor,  ///< tell me when it is dead
    ask_actor,    ///< to its owner: end_actor again if there is no handle
    actor_dead,
    name,   ///< to rank 0: an actor shall have, or had, this name
    named,  ///< from there: it has, or another one has
    find,   ///< to rank 0, from there to the owner: which actor has this name
    found,
    item,        ///< of a stream
    consumed,    ///< so many items were
    hold_group,  ///< reserve bundles
    held_group,  ///< they are
    free_group,  ///< give the bundles of a group back
    output,      ///< a line for the driver's terminal
    ask_output,  ///< to rank 0: tell when my lines are there
    output_done,
    stalled,  ///< nothing moves here: tell what waits
    waits,    ///< what waits here
    finish,   ///< the driver is done
    handles,  ///< to rank 0, at the end: actors here, and whose handles they held
    broken,   ///< the job cannot go on, for this reason
};

}  // namespace mobula::wire
