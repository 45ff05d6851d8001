// SPDX-License-Identifier: Apache-2.0

/// The part of the exchange that moves values.

#include <atomic>
#include <utility>

#include <mobula/archive.hpp>

#include "base/driving.hpp"
#include "runtime/exchange.hpp"

namespace mobula::runtime {

using graph::State;
using wire::RecordReader;

namespace {

graph::FailurePtr get_failure(wire::Bytes bytes) {
    detail::Reader encoded(bytes, {}, {});
    return std::make_shared<graph::Failure>(graph::Failure::decode(encoded));
}

}  // namespace

/// Several blocks on their way here.
struct Pulling final : transport::Fetch {
    std::atomic<std::size_t> left{0};
    std::mutex mutex;
    std::string reason;
    std::atomic<bool> peer_gone{false};
    std::function<void(const Pulled&)> finished;

    void done() noexcept override {
        if (left.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
        finished({reason, peer_gone.load()});
        delete this;
    }
    void lost(std::string_view) noexcept override {
        peer_gone.store(true);
        done();
    }
    void failed(std::string_view why) noexcept override {
        {
            std::lock_guard guard(mutex);
            reason = why.empty() ? "a transfer failed" : why;
        }
        done();
    }
};

void Exchange::pull(std::vector<Arrived::Part> parts, std::function<void(const Pulled&)> done) {
    if (parts.empty()) return done({});
    auto* pulling = new Pulling;
    pulling->left = parts.size();
    pulling->finished = std::move(done);
    for (const Arrived::Part& part : parts) {
        {
            Lock lock(mutex_);
            sums_.bytes_pulled += part.into.size();
        }
        network_.transport().fetch(part.from, part.offset, part.into, *pulling);
    }
}

std::uint64_t Exchange::keep_copy(Object& object, std::unique_ptr<Encoded> form) {
    auto shared = std::make_unique<Shared>();
    shared->role = Shared::Role::copy;
    shared->object = &object;
    shared->keep = CellPtr::share(object);
    shared->published = std::move(form);
    Lock lock(mutex_);
    shared->id = {network_.self(), network_.incarnation(), next_serial_++};
    const std::uint64_t serial = shared->id.serial;
    object.shared = shared.get();
    owned_.emplace(serial, std::move(shared));
    ++sums_.copies;
    return serial;
}

void Exchange::drop_copy(Rank where, std::uint64_t copy) { network_.send(where, wire::Drop{copy}); }

void Exchange::set_location(Object& object, const wire::Place& place) {
    Lock lock(mutex_);
    Shared& shared = publish_locked(object);
    shared.located = true;
    shared.place = place;
    lock.unlock();
    if (graph::locate(object)) want(object, true);
}

std::pair<Rank, std::size_t> Exchange::place_of(Object& object) {
    const State state = graph::state_of(object);
    if (state == State::ready) {
        return {network_.self(), object.type->weight(object.content.value)};
    }
    if (object.shared == nullptr) return {network_.self(), 0};
    Lock lock(mutex_);
    const Shared& shared = *object.shared;
    if (!shared.located || graph::is_here(state)) return {network_.self(), 0};
    return {shared.place.rank, shared.place.copy.bytes};
}

// ---- asking and answering ----

void Exchange::want(Object& object, bool value) {
    if (object.shared == nullptr) return;
    std::unique_ptr<Encoded> local;
    bool missing = false;
    {
        Lock lock(mutex_);
        Shared& shared = *object.shared;
        const State state = graph::state_of(object);
        if (graph::is_here(state)) return;
        if (shared.located && value && state == State::located) {
            local = start_fetch(shared);
            missing = !local && !shared.fetching;
        } else if (shared.role == Shared::Role::held && state == State::pending &&
                   (!shared.subscribed || (value && !shared.value_wanted))) {
            shared.subscribed = true;
            shared.value_wanted = shared.value_wanted || value;
            network_.send(shared.id.owner, wire::Subscribe{shared.id, value});
        }
    }
    if (local) graph::complete(object, local.release());
    if (!missing) return;
    auto failure = std::make_shared<graph::Failure>();
    failure->kind = graph::FailureKind::owner_died;
    failure->message = "an object is said to be kept here and is not";
    graph::fail(object, std::move(failure));
}

/// Asks for the bytes; those that are kept on this very rank are given at once. When nothing is
/// fetched after it, there are none.
std::unique_ptr<Encoded> Exchange::start_fetch(Shared& shared) {
    if (shared.fetching) return nullptr;
    if (shared.place.rank == network_.self()) {
        const auto found = owned_.find(shared.place.copy.serial);
        if (found == owned_.end() || !found->second->published) return nullptr;
        return std::make_unique<Encoded>(*found->second->published);
    }
    shared.fetching = true;
    ++shared.pins;  // until the answer is here
    ++sums_.fetches;
    network_.send(shared.place.rank, wire::Fetch{shared.id, shared.place.copy.serial});
    return nullptr;
}

void Exchange::on_subscribe(Rank from, const wire::Subscribe& message) {
    const bool value = message.value;
    CellPtr cell;  // kept until it is answered: the asking rank may hold it no more
    Lock lock(mutex_);
    Shared* const shared = find_own(message.object);
    if (shared != nullptr && shared->object != nullptr) cell = try_share_object(*shared->object);
    if (!cell) throw Error("a rank asks for an object that is gone");
    Object& object = *shared->object;
    if (graph::state_of(object) == State::pending) {
        shared->subscribe(from, value);
        if (shared->watch.shared == nullptr) {
            shared->watch.shared = shared;
            shared->watch.exchange = this;
            static constexpr detail::WaiterEvents watch_events{[](graph::Waiter& waiter) noexcept {
                auto& watch = static_cast<Shared::Watch&>(waiter);
                static_cast<Exchange*>(watch.exchange)->notify_subscribers(*watch.shared);
            }};
            shared->watch.events = &watch_events;
            if (graph::add_waiter(object, shared->watch)) return;
            lock.unlock();
            return notify_subscribers(*shared);
        }
        return;
    }
    lock.unlock();
    answer(*shared, from, value);
}

void Exchange::notify_subscribers(Shared& shared) {
    std::vector<Shared::Subscriber> subscribers;
    {
        Lock lock(mutex_);
        subscribers = shared.take_subscribers();
        shared.watch.shared = nullptr;
    }
    for (const Shared::Subscriber& subscriber : subscribers) {
        answer(shared, subscriber.rank, subscriber.value);
    }
}

/// Has the clerk do `then` with the object, which is kept until that is done: the asking rank may
/// hold it no more.
template <class Then>
void Exchange::keep_for_clerk(Shared& shared, Then then) {
    Object* kept = nullptr;
    {
        Lock lock(mutex_);
        ++shared.pins;
        if (shared.object != nullptr) {
            kept = static_cast<Object*>(try_share_object(*shared.object).release());
        }
    }
    clerk_.give_in_turn([this, &shared, kept, then] {
        then();
        CellPtr{kept};
        unpin(shared);
    });
}

/// Whether an answer would run code of the user's, or wait for some, while the calling thread
/// drives the network.
bool Exchange::is_for_clerk(Shared& shared, bool value) {
    if (!Driving::now() || shared.located || shared.object == nullptr) return false;
    return value ? !has_form_soon(shared) : weighs_by_users_code(*shared.object);
}

/// Whether form_of() needs no code of the user's, and takes no longer than a record should.
bool Exchange::has_form_soon(Shared& shared) {
    constexpr std::size_t bytes_max = std::size_t{1} << 20U;
    Object* object = nullptr;
    {
        std::lock_guard guard(forms_mutex_);
        if (shared.published) return true;
        object = shared.object;
    }
    if (object == nullptr) return true;
    switch (graph::state_of(*object)) {
        case State::ready: {
            const detail::TypeInfo& type = *object->type;
            return type.quiet && type.weight(object->content.value) <= bytes_max;
        }
        case State::encoded: {
            std::unique_ptr<Encoded> form = graph::copy_encoded(*object);
            if (!form) return false;  // somebody decodes it just now
            std::lock_guard guard(forms_mutex_);
            if (!shared.published) shared.published = std::move(form);
            return true;
        }
        case State::decoding: return false;
        default: return true;
    }
}

/// Whether the value goes along with the answer to a question for the object's place: it is small,
/// and no code of the user's runs for it.
static bool goes_with_answer(const Object& object) noexcept {
    return graph::state_of(object) == State::ready && !object.moved_out.load() &&
           object.type->quiet && goes_along(object);
}

void Exchange::answer(Shared& shared, Rank to, bool value) {
    value = value || (!shared.located && goes_with_answer(*shared.object));
    if (is_for_clerk(shared, value)) {
        return keep_for_clerk(shared, [this, &shared, to, value] { answer(shared, to, value); });
    }
    Object& object = *shared.object;
    const State state = graph::state_of(object);
    const bool elsewhere = shared.located;
    if (state == State::failed && !elsewhere) {
        detail::Writer failure;
        graph::failure_of(object)->encode(failure);
        return network_.send(
            to, wire::Done{shared.id, wire::Done::Answer::failed, {}, failure.stream()});
    }
    if (!elsewhere && value) return send_value(shared, shared.id, to);
    wire::Done done{shared.id, wire::Done::Answer::located, shared.place};
    if (!elsewhere) {
        const std::uint64_t bytes =
            state == State::ready ? object.type->weight(object.content.value) : 0;
        done.place = {network_.self(), {shared.id.serial, bytes}};
    }
    network_.send(to, done);
}

/// Sends the value, or why there is none, under the id by which the asking rank knows the object.
void Exchange::send_value(Shared& shared, const ObjectId& id, Rank to) {
    wire::Written value(wire::Value{id, true});
    graph::FailurePtr failure;
    try {
        write_form(form_of(shared), to, value);
        return network_.send(to, value);
    } catch (...) {
        const Object* const object = shared.object;
        // Its decoding may have failed since the place was told.
        failure = object != nullptr && graph::state_of(*object) == State::failed
                      ? graph::failure_of(*object)
                      : graph::failure_from_current_exception(
                            {}, static_cast<std::uint32_t>(index(network_.self())),
                            graph::Doing::encoding_object);
    }
    detail::Writer encoded;
    failure->encode(encoded);
    network_.send(to, wire::Value{id, false, encoded.stream()});
}

void Exchange::on_fetch(Rank from, const wire::Fetch& message) {
    const ObjectId id = message.object;
    Lock lock(mutex_);
    const auto found = owned_.find(message.serial);
    if (found == owned_.end()) throw Error("a rank fetches a value that is not kept here");
    Shared& shared = *found->second;
    // Kept until it is answered: the asking rank may hold it no more.
    CellPtr cell;
    if (shared.object != nullptr) cell = try_share_object(*shared.object);
    ++shared.pins;
    lock.unlock();
    if (Driving::now() && cell && !has_form_soon(shared)) {
        keep_for_clerk(shared, [this, &shared, id, from] { send_value(shared, id, from); });
    } else {
        send_value(shared, id, from);
    }
    cell = {};
    unpin(shared);
}

void Exchange::on_done(const wire::Done& message) {
    if (message.object.owner == network_.self()) {
        throw Error("a rank tells the owner where its object is");
    }
    CellPtr cell;
    Lock lock(mutex_);
    Shared* const shared = find(message.object);
    // The object may be let go while the answer was under way.
    if (shared == nullptr || shared->object == nullptr) return;
    cell = try_share_object(*shared->object);
    if (!cell) return;
    if (message.answer == wire::Done::Answer::failed) {
        lock.unlock();
        return graph::fail(Object::of(*cell), get_failure(message.failure));
    }
    shared->located = true;
    shared->place = message.place;
    lock.unlock();
    if (graph::locate(Object::of(*cell))) want(Object::of(*cell), true);
}

void Exchange::on_value(Rank from, const wire::Value& message, RecordReader& tail) {
    Lock lock(mutex_);
    Shared* shared = find(message.object);
    if (shared == nullptr) {
        // Let go meanwhile; the references inside count all the same and are adopted to be let go.
        lock.unlock();
        if (message.given) static_cast<void>(read_fields(tail));
        return;
    }
    if (message.object.owner == network_.self() && !shared->fetching) {
        throw Error("a rank sends a value that nobody asked for");
    }
    const bool was_fetched = std::exchange(shared->fetching, false);
    if (!was_fetched) ++shared->pins;  // an answer to a subscription: pin it while this goes on
    lock.unlock();
    const auto refuse = [&](graph::FailurePtr failure) {
        CellPtr cell;
        {
            Lock again(mutex_);
            if (shared->object != nullptr) cell = try_share_object(*shared->object);
        }
        if (cell) graph::fail(Object::of(*cell), std::move(failure));
        cell = {};
        unpin(*shared);
    };
    if (!message.given) return refuse(get_failure(message.failure));
    FormFields fields = read_fields(tail);
    Arrived arrived;
    try {
        arrived = take_form(from, std::move(fields), shared);
    } catch (const StoreFull&) {
        return refuse(graph::failure_from_current_exception(
            "the fetching of an object", static_cast<std::uint32_t>(index(network_.self()))));
    }
    arrive(*shared, std::move(arrived));
}

void Exchange::arrive(Shared& shared, Arrived arrived) {
    auto* const encoded = arrived.encoded.release();
    pull(std::move(arrived.parts), [this, &shared, encoded](const Pulled& pulled) {
        std::unique_ptr<Encoded> value(encoded);
        CellPtr cell;
        {
            Lock lock(mutex_);
            if (shared.object != nullptr) cell = try_share_object(*shared.object);
        }
        if (cell && pulled.whole()) {
            graph::complete(Object::of(*cell), value.release());
        } else if (cell && !pulled.lost) {
            auto failure = std::make_shared<graph::Failure>();
            failure->kind = graph::FailureKind::owner_died;
            failure->message =
                "the bytes of an object could not be fetched: " + std::string(pulled.refusal);
            graph::fail(Object::of(*cell), failure);
        }
        value.reset();
        cell = {};
        unpin(shared);
    });
}

}  // namespace mobula::runtime
