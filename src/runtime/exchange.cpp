// SPDX-License-Identifier: Apache-2.0
#include "runtime/exchange.hpp"

#include <utility>

#include "base/check.hpp"
#include "base/driving.hpp"
#include "base/encoding.hpp"
#include "graph/promised.hpp"
#include "graph/task.hpp"
#include "runtime/task_mark.hpp"

namespace mobula::runtime {

using graph::State;
using wire::Known;
using wire::RecordReader;
using wire::RecordWriter;

namespace {

/// Values up to here travel with every reference to them; larger ones when they are wanted.
constexpr std::size_t described_bytes_max = 1024;
/// ... as long as the record is not longer than this: thousands of references in one value shall
/// not each bring a value that may never be read.
constexpr std::size_t describing_record_bytes_max = 65536;

/// Whether the value's form may go along with a reference.
bool encoded_small(const Object& object, detail::Writer& value) noexcept {
    try {
        const Encoding encoding;
        object.type->encode(object.content.value, value);
    } catch (...) {
        return false;  // whoever wants it hears why; a reference may be passed on all the same
    }
    return value.stream().size() <= described_bytes_max && value.attachments().empty() &&
           value.references().empty();
}

}  // namespace

bool goes_along(const Object& object) noexcept {
    return object.type->weight(object.content.value) <= described_bytes_max;
}

CellPtr try_share_object(Object& object) noexcept {
    std::uint32_t seen = object.references.load(std::memory_order_relaxed);
    while (seen != 0) {
        if (object.references.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel)) {
            return CellPtr(&object);
        }
    }
    return {};
}

Exchange::Exchange(Network& network, Clerk& clerk, Limits limits, ActorEnded actor_ended)
    : network_(network), clerk_(clerk), limits_(limits), actor_ended_(std::move(actor_ended)) {}

Shared& Exchange::publish_locked(Object& object) {
    if (object.shared == nullptr) {
        auto shared = std::make_unique<Shared>();
        shared->id = {network_.self(), network_.incarnation(), next_serial_++};
        shared->object = &object;
        object.shared = shared.get();
        owned_.emplace(shared->id.serial, std::move(shared));
        ++sums_.owned;
    }
    return *object.shared;
}

ObjectId Exchange::publish(Object& object, const Rank* actor_rank) {
    Lock lock(mutex_);
    Shared& shared = publish_locked(object);
    if (actor_rank != nullptr) {
        shared.is_actor = true;
        shared.actor_rank = *actor_rank;
    }
    return shared.id;
}

/// Without the lock: what an actor's handle says was written before there was a handle.
std::pair<ObjectId, Rank> Exchange::actor_of(Object& actor) {
    const Shared* const shared = actor.shared.load(std::memory_order_acquire);
    if (shared == nullptr || !shared->is_actor) throw Error("this handle names no actor");
    return {shared->id, shared->actor_rank};
}

bool Exchange::cancel_at_owner(Object& object, bool recursive) {
    if (object.shared == nullptr) return false;
    Lock lock(mutex_);
    const Shared& shared = *object.shared;
    if (shared.role != Shared::Role::held) return false;
    network_.send(shared.id.owner, wire::CancelObject{shared.id, recursive});
    return true;
}

Exchange::WatchedActor Exchange::watch_actor(Object& actor) {
    Lock lock(mutex_);
    Shared& shared = *actor.shared;
    const bool first = !std::exchange(shared.actor_watched, true);
    return {shared.id, shared.actor_rank, first, shared.actor_death};
}

void Exchange::note_death(const ObjectId& actor, const graph::FailurePtr& death) {
    Lock lock(mutex_);
    if (Shared* const shared = find(actor)) shared->actor_death = death;
}

CellPtr Exchange::find_owned(const ObjectId& id) {
    Lock lock(mutex_);
    if (id.owner != network_.self()) return {};
    Shared* const shared = find(id);
    if (shared == nullptr || shared->object == nullptr) return {};
    return try_share_object(*shared->object);
}

Shared* Exchange::find(const ObjectId& id) {
    if (id.owner == network_.self()) {
        // A kept copy has a serial too, but that is no object's name.
        const auto found = owned_.find(id.serial);
        const bool named = found != owned_.end() && id.incarnation == network_.incarnation() &&
                           found->second->role == Shared::Role::owned;
        return named ? found->second.get() : nullptr;
    }
    const auto found = held_.find(id);
    return found == held_.end() ? nullptr : found->second.get();
}

Shared* Exchange::find_own(const ObjectId& id) {
    return id.owner == network_.self() ? find(id) : nullptr;
}

/// Whether the object's failure, or its value where that is small and without references and blocks
/// of its own, went along. Runs the user's code, so no lock is held.
static bool describe_value(Object& object, wire::Reference reference, RecordWriter& writer) {
    const auto put = [&](Known known, wire::Bytes bytes) {
        reference.known = known;
        reference.inside = bytes;
        wire::write(reference, writer);
        return true;
    };
    const State state = graph::state_of(object);
    detail::Writer value;
    if (state == State::failed) {
        graph::failure_of(object)->encode(value);
        return put(Known::failed, value.stream());
    }
    if (writer.size() >= describing_record_bytes_max) return false;
    if (state == State::encoded) {
        const std::unique_ptr<Encoded> form = graph::copy_encoded(object);
        const bool small = form && form->stream.size() <= described_bytes_max &&
                           !form->stream_block && form->attachments.empty() &&
                           form->references.empty();
        return small && put(Known::inside, form->stream);
    }
    if (state != State::ready || object.moved_out.load()) return false;
    const detail::TypeInfo& type = *object.type;
    if (type.plain) {
        const auto* const bytes = static_cast<const std::byte*>(object.content.value);
        return type.size <= described_bytes_max && put(Known::inside, {bytes, type.size});
    }
    // Where code of the user's may not run, the holder asks for the value once it needs it.
    if (!type.quiet && Driving::now()) return false;
    return goes_along(object) && encoded_small(object, value) && put(Known::inside, value.stream());
}

/// What is said of the size of an object that is here: where code of the user's may not run, only
/// what is known without.
static std::uint64_t bytes_told(const Object& object, State state) noexcept {
    if (state != State::ready) return 0;
    if (object.type->users_weight && Driving::now()) return object.type->size;
    return object.type->weight(object.content.value);
}

/// Where the object's bytes are, as far as it is known. Whoever gets one as pending that failed
/// after it was looked at asks for it and hears why.
void Exchange::describe_place(const Object& object, wire::Reference& reference) {
    const State state = graph::state_of(object);
    const std::uint64_t bytes = bytes_told(object, state);
    Lock lock(mutex_);
    const Shared& shared = *object.shared;
    if (shared.located) {
        reference.known = Known::located;
        reference.place = shared.place;
    } else if (shared.role == Shared::Role::owned && graph::is_here(state) &&
               state != State::failed) {
        reference.known = Known::located;
        reference.place = {network_.self(), {shared.id.serial, bytes}};
    }
}

void Exchange::describe(Object& object, Rank to, RecordWriter& writer) {
    Lock lock(mutex_);
    Shared& shared = publish_locked(object);
    check(shared.role != Shared::Role::copy, "a kept copy has no references of its own");
    if (shared.role == Shared::Role::owned) {
        shared.holders.grant(to);
        if (!shared.keep) shared.keep = CellPtr::share(object);
    } else if (shared.id.owner != to) {
        // Goes before this rank's own release on the same channel, so the owner never believes
        // that nobody holds the object while `to` gets it.
        network_.send(shared.id.owner, wire::Grant{shared.id, to});
    }
    wire::Reference reference{shared.id};
    if (shared.is_actor) {
        reference.known = Known::actor;
        reference.actor_rank = shared.actor_rank;
        return wire::write(reference, writer);
    }
    // One that only could not be brought here, for want of memory, is as good as ever elsewhere.
    const bool failed_here = shared.located && graph::state_of(object) == State::failed;
    lock.unlock();
    if (!failed_here && describe_value(object, reference, writer)) return;
    describe_place(object, reference);
    wire::write(reference, writer);
}

CellPtr Exchange::adopt(RecordReader& reader) {
    const wire::Reference reference = network_.read_reference(reader);
    const ObjectId& id = reference.object;
    const Known known = reference.known;
    Lock lock(mutex_);
    if (id.owner == network_.self()) {
        Shared* const shared = find(id);
        CellPtr cell = shared != nullptr && shared->object != nullptr
                           ? try_share_object(*shared->object)
                           : CellPtr();
        if (!cell) throw Error("a record names an object that is gone");
        return cell;
    }
    std::unique_ptr<Shared>& entry = held_[id];
    if (!entry) {
        entry = std::make_unique<Shared>();
        entry->role = Shared::Role::held;
        entry->id = id;
        entry->pins = 0;
        ++sums_.held;
    }
    Shared& shared = *entry;
    ++shared.grants;
    CellPtr cell = shared.object != nullptr ? try_share_object(*shared.object) : CellPtr();
    if (!cell) {
        shared.object = graph::new_object(1);
        shared.object->shared = &shared;
        // A fetch that is under way for the object before goes on, for this one.
        shared.subscribed = shared.value_wanted = false;
        ++shared.pins;
        cell = CellPtr(shared.object);
    }
    if (known == Known::located) {
        shared.located = true;
        shared.place = reference.place;
    } else if (known == Known::actor && !shared.is_actor) {
        shared.is_actor = true;
        shared.actor_rank = reference.actor_rank;
    }
    lock.unlock();

    Object& object = Object::of(*cell);
    if (known == Known::inside) {
        auto encoded = std::make_unique<Encoded>();
        encoded->stream.assign(reference.inside.begin(), reference.inside.end());
        graph::complete(object, encoded.release());
    } else if (known == Known::failed) {
        detail::Reader failure(reference.inside, {}, {});
        graph::fail(object, std::make_shared<graph::Failure>(graph::Failure::decode(failure)));
    } else if (known == Known::located && graph::locate(object)) {
        want(object, true);
    }
    return cell;
}

void Exchange::dispose(Object& object) noexcept {
    if (object.shared != nullptr) {
        Lock lock(mutex_);
        Shared& shared = *object.shared;
        if (shared.object == &object) shared.object = nullptr;
        lock.unlock();
        // At the end of a job some never come to be that others wait for.
        if (shared.watch.shared != nullptr) {
            static_cast<void>(graph::remove_waiter(object, shared.watch));
        }
        if (Driving::now() && ends_by_users_code(object)) {
            return clerk_.give([this, &object, &shared] { finish_dispose(object, shared); });
        }
        return finish_dispose(object, shared);
    }
    graph::free_object(&object);
}

/// The value first: its blocks are pins of their own, and the owner may free their bytes as soon as
/// the last pin is gone.
void Exchange::finish_dispose(Object& object, Shared& shared) noexcept {
    graph::free_object(&object);
    unpin(shared);
}

void Exchange::unpin(Shared& shared) noexcept {
    Lock lock(mutex_);
    if (--shared.pins != 0) return;
    const bool actor = shared.is_actor && shared.role == Shared::Role::owned;
    const ObjectId id = shared.id;
    const Rank rank = shared.actor_rank;
    std::unique_ptr<Shared> ended = end_locked(shared);
    lock.unlock();
    // Its form may hold the last references to other objects, whose end takes the lock again.
    ended.reset();
    if (actor) actor_ended_(id, rank);
}

/// Nothing here needs the object any more; takes it out of the tables.
std::unique_ptr<Shared> Exchange::end_locked(Shared& shared) noexcept {
    std::unique_ptr<Shared> ended;
    switch (shared.role) {
        case Shared::Role::held: {
            network_.send(shared.id.owner, wire::Release{shared.id, shared.grants});
            --sums_.held;
            const auto found = held_.find(shared.id);
            ended = std::move(found->second);
            held_.erase(found);
            return ended;
        }
        case Shared::Role::owned:
            if (shared.located && shared.place.rank != network_.self()) {
                drop_copy(shared.place.rank, shared.place.copy.serial);
            }
            --sums_.owned;
            break;
        case Shared::Role::copy: --sums_.copies; break;
    }
    const auto found = owned_.find(shared.id.serial);
    ended = std::move(found->second);
    owned_.erase(found);
    return ended;
}

void Exchange::on_grant(const wire::Grant& message) {
    Lock lock(mutex_);
    Shared* const shared = find_own(message.object);
    if (shared == nullptr) throw Error("a rank passed on an object that is gone");
    shared->holders.grant(message.to);
    if (!shared->keep && shared->object != nullptr) {
        shared->keep = try_share_object(*shared->object);
    }
    CellPtr dropped;
    if (!shared->holders.held()) dropped = std::move(shared->keep);
    lock.unlock();
}

void Exchange::on_release(Rank from, const wire::Release& message) {
    CellPtr dropped;
    Lock lock(mutex_);
    Shared* const shared = find_own(message.object);
    if (shared == nullptr) throw Error("a rank released an object that is gone");
    if (!shared->holders.give_back(from, message.grants)) {
        throw Error("a rank released an object more often than it can have had it");
    }
    if (!shared->holders.held()) dropped = std::move(shared->keep);
    lock.unlock();
}

void Exchange::on_drop(const wire::Drop& message) {
    CellPtr dropped;
    Lock lock(mutex_);
    const auto found = owned_.find(message.serial);
    if (found == owned_.end() || found->second->role != Shared::Role::copy) {
        throw Error("a rank dropped a value that is not kept here");
    }
    dropped = std::move(found->second->keep);
    lock.unlock();
}

Exchange::Sums Exchange::sums() {
    Lock lock(mutex_);
    return sums_;
}

Waiting::Target Exchange::target_of(Object& object) {
    std::optional<TaskMark> maker;
    bool by_hand = false;
    {
        std::lock_guard guard(object.lock);
        by_hand = graph::is_promised(object);
        if (!by_hand && object.producer != nullptr)
            maker.emplace(*object.producer, network_.self());
    }
    if (maker) return {maker->key(), maker->name()};
    ObjectId id{};
    {
        Lock lock(mutex_);
        if (object.shared == nullptr) return {{}, by_hand ? promise_name : "an object"};
        id = object.shared.load()->id;
    }
    if (by_hand) return {waiting_key(id), promise_name};
    return {waiting_key(id), "an object of rank " + std::to_string(index(id.owner))};
}

std::vector<std::pair<ObjectId, CellPtr>> Exchange::actor_handles() {
    std::vector<std::pair<ObjectId, CellPtr>> handles;
    const auto add = [&](const Shared& shared) {
        if (!shared.is_actor || shared.object == nullptr) return;
        CellPtr handle = try_share_object(*shared.object);
        if (handle) handles.emplace_back(shared.id, std::move(handle));
    };
    Lock lock(mutex_);
    for (const auto& [serial, shared] : owned_) add(*shared);
    for (const auto& [id, shared] : held_) add(*shared);
    return handles;
}

std::vector<std::pair<ObjectId, CellPtr>> Exchange::waited_for() {
    std::vector<std::pair<ObjectId, CellPtr>> objects;
    Lock lock(mutex_);
    for (const auto& [serial, shared] : owned_) {
        if (shared->subscribers.empty() || shared->object == nullptr) continue;
        if (CellPtr cell = try_share_object(*shared->object)) {
            objects.emplace_back(shared->id, std::move(cell));
        }
    }
    return objects;
}

void Exchange::list(std::vector<Waiting>& all) {
    for (const auto& [id, cell] : waited_for()) {
        Waiting& link = all.emplace_back();
        link.key = waiting_key(id);
        link.rank = static_cast<unsigned>(index(network_.self()));
        link.state = "is made";
        link.targets.push_back(target_of(Object::of(*cell)));
        if (link.targets.front().name == promise_name) {
            link.name = promise_name;
            link.state = "is not completed yet";
            link.targets.clear();
            continue;
        }
        link.name = "an object of " + link.targets.front().name;
    }
}

}  // namespace mobula::runtime
