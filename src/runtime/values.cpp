// SPDX-License-Identifier: Apache-2.0

/// The half of the exchange that moves values.

#include <algorithm>
#include <cstring>
#include <utility>

#include <mobula/archive.hpp>

#include "runtime/exchange.hpp"

namespace mobula::runtime {

using graph::State;
using wire::Kind;
using wire::RecordReader;
using wire::RecordWriter;

namespace {

enum class Answer : std::uint8_t { located, failed };

/// A stream beyond this is moved into the arena and fetched like a block.
constexpr std::size_t stream_bytes_max = 32768;

void put_failure(const graph::Failure& failure, RecordWriter& writer) {
    detail::Writer encoded;
    failure.encode(encoded);
    writer.put(static_cast<std::uint32_t>(encoded.stream().size()));
    writer.bytes(encoded.stream().data(), encoded.stream().size());
}

graph::FailurePtr get_failure(RecordReader& reader) {
    detail::Reader encoded(reader.bytes(reader.count(1)), {}, {});
    return std::make_shared<graph::Failure>(graph::Failure::decode(encoded));
}

}  // namespace

/// A block in a peer's mapped arena; it pins the object that it belongs to.
struct PinnedHead : detail::BufferHead {
    Exchange* exchange = nullptr;
    Shared* shared = nullptr;

    static void let_go(detail::BufferHead* head) noexcept {
        auto* pinned = static_cast<PinnedHead*>(head);
        pinned->exchange->unpin(*pinned->shared);
        delete pinned;
    }
};

/// Several blocks on their way here.
struct Pulling final : transport::Fetch {
    std::atomic<std::size_t> left{0};
    std::mutex mutex;
    std::string reason;
    std::function<void(std::string_view)> finished;

    void done() noexcept override {
        if (left.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
        finished(reason);
        delete this;
    }
    void failed(std::string_view why) noexcept override {
        {
            std::lock_guard guard(mutex);
            reason = why.empty() ? "a transfer failed" : why;
        }
        done();
    }
};

// ---- forms ----

bool Exchange::fits_inline(const detail::Writer& writer) const {
    auto& open = const_cast<detail::Writer&>(writer);
    return open.attachments().empty() && open.stream().size() <= limits_.inline_bytes;
}

std::unique_ptr<Encoded> Exchange::seal(detail::Writer& writer) {
    auto encoded = std::make_unique<Encoded>();
    store::Arena& arena = network_.cluster().arena();
    for (Buffer& block : writer.attachments()) {
        if (!arena.contains(block.data())) {
            Buffer moved = detail::allocate_buffer(std::max<std::size_t>(block.size(), 65536));
            if (!arena.contains(moved.data())) throw StoreFull("the object store is full");
            std::memcpy(moved.data(), block.data(), block.size());
            block = std::move(moved);
        }
        encoded->attachments.push_back(std::move(block));
    }
    encoded->references = std::move(writer.references());
    if (writer.stream().size() > stream_bytes_max) {
        Buffer stream =
            detail::allocate_buffer(std::max<std::size_t>(writer.stream().size(), 65536));
        if (!arena.contains(stream.data())) throw StoreFull("the object store is full");
        std::memcpy(stream.data(), writer.stream().data(), writer.stream().size());
        encoded->stream_bytes = writer.stream().size();
        encoded->stream_block = std::move(stream);
    } else {
        encoded->stream = writer.stream().copy();
    }
    writer.clear();
    return encoded;
}

const Encoded& Exchange::form_of(Shared& shared) {
    std::lock_guard guard(forms_mutex_);
    while (!shared.published) {
        if (shared.object == nullptr) throw Error("the object is gone");
        Object& object = *shared.object;
        switch (graph::state_of(object)) {
            case State::ready: {
                detail::Writer writer;
                object.type->encode(object.content.value, writer);
                shared.published = seal(writer);
                break;
            }
            case State::encoded:
            case State::decoding: shared.published = graph::copy_encoded(object); break;
            case State::failed: graph::failure_of(object)->raise();
            default: throw Error("the object is not there yet");
        }
    }
    return *shared.published;
}

/// Blocks, references, stream. The form's blocks must be in this rank's arena.
void Exchange::write_form(const Encoded& encoded, Rank to, RecordWriter& writer) {
    store::Arena& arena = network_.cluster().arena();
    const auto block = [&](const Buffer& buffer, std::size_t bytes) {
        writer.put(arena.offset(buffer.data())).put(static_cast<std::uint64_t>(bytes));
    };
    writer.put(static_cast<std::uint32_t>(encoded.attachments.size()));
    for (const Buffer& buffer : encoded.attachments) block(buffer, buffer.size());
    writer.put(static_cast<std::uint32_t>(encoded.references.size()));
    for (const CellPtr& cell : encoded.references) describe(Object::of(*cell), to, writer);
    writer.put(static_cast<std::uint8_t>(static_cast<bool>(encoded.stream_block)));
    if (encoded.stream_block) {
        block(encoded.stream_block, encoded.stream_bytes);
    } else {
        writer.put(static_cast<std::uint32_t>(encoded.stream.size()));
        writer.bytes(encoded.stream.data(), encoded.stream.size());
    }
    if (writer.size() > transport::Transport::record_bytes_max) {
        throw Error("a value with " + std::to_string(encoded.references.size()) +
                    " references takes " + std::to_string(writer.size()) +
                    " bytes in a message; at most " +
                    std::to_string(transport::Transport::record_bytes_max) + " can be sent");
    }
}

Buffer Exchange::map_block(Rank from, std::uint64_t offset, std::uint64_t bytes, Shared* pinned) {
    const store::PeerArena* const arena = network_.cluster().peer_arena(from);
    const std::span<const std::byte> view = arena->view(offset, bytes);
    if (view.size() != bytes) throw Error("a record names bytes outside of its sender's arena");
    auto head = std::make_unique<PinnedHead>();
    head->data = const_cast<std::byte*>(view.data());
    head->bytes = bytes;
    head->exchange = this;
    head->shared = pinned;
    head->dispose = &PinnedHead::let_go;
    Lock lock(mutex_);
    ++pinned->pins;
    ++sums_.values_mapped;
    lock.unlock();
    return Buffer(head.release());
}

Arrived Exchange::read_form(Rank from, RecordReader& reader, Shared* pinned) {
    Arrived arrived;
    arrived.encoded = std::make_unique<Encoded>();
    const bool mapped = network_.cluster().peer_arena(from) != nullptr && pinned != nullptr &&
                        network_.transport().verb(from) == transport::Verb::map;
    const auto block = [&]() -> Buffer {
        const auto offset = reader.get<std::uint64_t>();
        const auto bytes = reader.get<std::uint64_t>();
        if (mapped) return map_block(from, offset, bytes, pinned);
        Buffer buffer = detail::allocate_buffer(bytes);
        arrived.parts.push_back({from, offset, {buffer.data(), bytes}});
        return buffer;
    };
    const std::uint32_t blocks = reader.count(16);
    for (std::uint32_t i = 0; i < blocks; ++i) arrived.encoded->attachments.push_back(block());
    const std::uint32_t references = reader.count(sizeof(ObjectId) + 1);
    for (std::uint32_t i = 0; i < references; ++i) {
        arrived.encoded->references.push_back(adopt(reader));
    }
    if (reader.get<std::uint8_t>() != 0) {
        arrived.encoded->stream_block = block();
        arrived.encoded->stream_bytes = arrived.encoded->stream_block.size();
    } else {
        const std::span<const std::byte> stream = reader.bytes(reader.count(1));
        arrived.encoded->stream.assign(stream.begin(), stream.end());
    }
    return arrived;
}

/// Arguments and inline results: what has blocks gets an object of its own that keeps them.
void Exchange::put_encoded(const Encoded& encoded, Rank to, RecordWriter& writer) {
    const bool blocks = !encoded.attachments.empty() || encoded.stream_block;
    writer.put(static_cast<std::uint8_t>(blocks));
    if (blocks) {
        Object* const keeper = graph::new_object(1);
        new (graph::make_place(*keeper, detail::type_info<detail::Nothing>)) detail::Nothing;
        graph::complete(*keeper);
        const CellPtr cell(keeper);
        publish(*keeper);
        auto kept = std::make_unique<Encoded>();
        kept->attachments = encoded.attachments;
        kept->stream_block = encoded.stream_block;
        {
            std::lock_guard guard(forms_mutex_);
            keeper->shared.load()->published = std::move(kept);
        }
        describe(*keeper, to, writer);
    }
    write_form(encoded, to, writer);
}

Arrived Exchange::get_encoded(Rank from, RecordReader& reader) {
    CellPtr block;
    if (reader.get<std::uint8_t>() != 0) block = adopt(reader);
    Arrived arrived = read_form(from, reader, block ? Object::of(*block).shared.load() : nullptr);
    // Without pins of its own (fetched blocks) the keeper must outlive the transfer.
    if (block && !arrived.parts.empty()) arrived.encoded->references.push_back(std::move(block));
    return arrived;
}

void Exchange::pull(std::vector<Arrived::Part> parts, std::function<void(std::string_view)> done) {
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
    shared->id = {network_.self(), Incarnation{}, next_serial_++};
    const std::uint64_t serial = shared->id.serial;
    object.shared = shared.get();
    owned_.emplace(serial, std::move(shared));
    ++sums_.copies;
    return serial;
}

void Exchange::set_location(Object& object, Rank where, std::uint64_t copy, std::uint64_t bytes) {
    Lock lock(mutex_);
    Shared& shared = publish_locked(object);
    shared.located = true;
    shared.location = where;
    shared.copy = copy;
    shared.bytes = bytes;
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
    if (!object.shared.load()->located || graph::is_here(state)) return {network_.self(), 0};
    return {object.shared.load()->location, object.shared.load()->bytes};
}

// ---- asking and answering ----

void Exchange::want(Object& object, bool value) {
    if (object.shared == nullptr) return;
    Encoded* local = nullptr;
    {
        Lock lock(mutex_);
        Shared& shared = *object.shared;
        const State state = graph::state_of(object);
        if (graph::is_here(state)) return;
        if (shared.located && value && state == State::located) {
            local = start_fetch(shared);
        } else if (shared.role == Shared::Role::held && state == State::pending &&
                   (!shared.subscribed || (value && !shared.value_wanted))) {
            shared.subscribed = true;
            shared.value_wanted = shared.value_wanted || value;
            RecordWriter subscribe(Kind::subscribe);
            subscribe.put(shared.id).put(static_cast<std::uint8_t>(value));
            network_.send(shared.id.owner, subscribe);
        }
    }
    if (local != nullptr) graph::complete(object, local);
}

/// Asks for the bytes; those that are kept on this very rank are given at once.
Encoded* Exchange::start_fetch(Shared& shared) {
    if (shared.fetching) return nullptr;
    if (shared.location == network_.self()) {
        const auto found = owned_.find(shared.copy);
        if (found == owned_.end() || !found->second->published) {
            throw Error("an object is said to be kept here and is not");
        }
        return new Encoded(*found->second->published);
    }
    shared.fetching = true;
    ++shared.pins;  // until the answer is here
    ++sums_.fetches;
    RecordWriter fetch(Kind::fetch);
    fetch.put(shared.id).put(shared.copy);
    network_.send(shared.location, fetch);
    return nullptr;
}

void Exchange::on_subscribe(Rank from, RecordReader& reader) {
    const auto id = reader.get<ObjectId>();
    const bool value = reader.get<std::uint8_t>() != 0;
    Lock lock(mutex_);
    Shared* const shared = find(id);
    if (shared == nullptr || shared->object == nullptr) {
        throw Error("a rank asks for an object that is gone");
    }
    Object& object = *shared->object;
    if (graph::state_of(object) == State::pending) {
        shared->subscribers.push_back({from, value});
        if (shared->watch.shared == nullptr) {
            shared->watch.shared = shared;
            shared->watch.exchange = this;
            shared->watch.fire = [](graph::Waiter& waiter) noexcept {
                auto& watch = static_cast<Shared::Watch&>(waiter);
                static_cast<Exchange*>(watch.exchange)->notify_subscribers(*watch.shared);
            };
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
        subscribers.swap(shared.subscribers);
        shared.watch.shared = nullptr;
    }
    for (const Shared::Subscriber& subscriber : subscribers) {
        answer(shared, subscriber.rank, subscriber.value);
    }
}

void Exchange::answer(Shared& shared, Rank to, bool value) {
    Object& object = *shared.object;
    const State state = graph::state_of(object);
    if (state == State::failed) {
        RecordWriter done(Kind::done);
        done.put(shared.id).put(Answer::failed);
        put_failure(*graph::failure_of(object), done);
        return network_.send(to, done);
    }
    const bool elsewhere = shared.located;
    if (!elsewhere && value) return send_value(shared, shared.id, to);
    RecordWriter done(Kind::done);
    done.put(shared.id).put(Answer::located);
    if (elsewhere) {
        done.put(shared.location).put(shared.copy).put(shared.bytes);
    } else {
        const std::uint64_t bytes =
            state == State::ready ? object.type->weight(object.content.value) : 0;
        done.put(network_.self()).put(shared.id.serial).put(bytes);
    }
    network_.send(to, done);
}

/// Sends the value, or why there is none, under the id by which the asking rank knows the object.
void Exchange::send_value(Shared& shared, const ObjectId& id, Rank to) {
    RecordWriter value(Kind::value);
    value.put(id).put(static_cast<std::uint8_t>(1));
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
                            "the encoding of an object",
                            static_cast<std::uint32_t>(index(network_.self())));
    }
    RecordWriter none(Kind::value);
    none.put(id).put(static_cast<std::uint8_t>(0));
    put_failure(*failure, none);
    network_.send(to, none);
}

void Exchange::on_fetch(Rank from, RecordReader& reader) {
    const auto id = reader.get<ObjectId>();
    const auto serial = reader.get<std::uint64_t>();
    Lock lock(mutex_);
    const auto found = owned_.find(serial);
    if (found == owned_.end()) throw Error("a rank fetches a value that is not kept here");
    Shared& shared = *found->second;
    lock.unlock();
    send_value(shared, id, from);
}

void Exchange::on_done(Rank, RecordReader& reader) {
    const auto id = reader.get<ObjectId>();
    const auto answer = reader.get<Answer>();
    CellPtr cell;
    Lock lock(mutex_);
    Shared* const shared = find(id);
    // The object may be let go while the answer was under way.
    if (shared == nullptr || shared->object == nullptr) return;
    cell = try_share_object(*shared->object);
    if (!cell) return;
    if (answer == Answer::failed) {
        lock.unlock();
        return graph::fail(Object::of(*cell), get_failure(reader));
    }
    shared->located = true;
    shared->location = network_.read_rank(reader);
    shared->copy = reader.get<std::uint64_t>();
    shared->bytes = reader.get<std::uint64_t>();
    lock.unlock();
    if (graph::locate(Object::of(*cell))) want(Object::of(*cell), true);
}

void Exchange::on_value(Rank from, RecordReader& reader) {
    const auto id = reader.get<ObjectId>();
    const bool given = reader.get<std::uint8_t>() != 0;
    Lock lock(mutex_);
    Shared* shared = find(id);
    if (shared == nullptr) {
        // Let go meanwhile; the references inside count all the same and are adopted to be let go.
        lock.unlock();
        if (given) static_cast<void>(read_form(from, reader, nullptr));
        return;
    }
    const bool was_fetched = std::exchange(shared->fetching, false);
    if (!was_fetched) ++shared->pins;  // an answer to a subscription: pin it while this goes on
    lock.unlock();
    if (!given) {
        graph::FailurePtr failure = get_failure(reader);
        CellPtr cell;
        Lock again(mutex_);
        if (shared->object != nullptr) cell = try_share_object(*shared->object);
        again.unlock();
        if (cell) graph::fail(Object::of(*cell), std::move(failure));
        return unpin(*shared);
    }
    Arrived arrived = read_form(from, reader, shared);
    arrive(*shared, std::move(arrived));
}

void Exchange::arrive(Shared& shared, Arrived arrived) {
    auto* const encoded = arrived.encoded.release();
    pull(std::move(arrived.parts), [this, &shared, encoded](std::string_view reason) {
        std::unique_ptr<Encoded> value(encoded);
        CellPtr cell;
        {
            Lock lock(mutex_);
            if (shared.object != nullptr) cell = try_share_object(*shared.object);
        }
        if (cell && reason.empty()) {
            graph::complete(Object::of(*cell), value.release());
        } else if (cell) {
            auto failure = std::make_shared<graph::Failure>();
            failure->kind = graph::FailureKind::owner_died;
            failure->message =
                "the bytes of an object could not be fetched: " + std::string(reason);
            graph::fail(Object::of(*cell), failure);
        }
        value.reset();
        cell = {};
        unpin(shared);
    });
}

}  // namespace mobula::runtime
