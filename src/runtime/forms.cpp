// SPDX-License-Identifier: Apache-2.0

/// The part of the exchange that writes and reads values in the form in which they travel.

#include <sched.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include <mobula/archive.hpp>

#include "base/encoding.hpp"
#include "runtime/exchange.hpp"
#include "runtime/options.hpp"

namespace mobula::runtime {

using graph::State;
using wire::RecordReader;
using wire::RecordWriter;

namespace {

/// A stream beyond this is moved into the arena and fetched like a block; one that travels inside
/// a message never is.
constexpr std::size_t stream_bytes_max = Options::inline_bytes_max;

}  // namespace

/// A block in a peer's mapped arena; it pins the object that it belongs to.
struct PinnedHead : detail::BufferHead {
    Exchange* exchange = nullptr;
    Shared* shared = nullptr;
    std::shared_ptr<const std::atomic<bool>> exchange_is_open;

    static void let_go(detail::BufferHead* head) noexcept {
        auto* pinned = static_cast<PinnedHead*>(head);
        // What a static keeps outlives the job, and has nobody to give it back to.
        if (*pinned->exchange_is_open) pinned->exchange->unpin(*pinned->shared);
        delete pinned;
    }
};

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

/// Runs the user's code, so no lock is held.
std::unique_ptr<Encoded> Exchange::make_form(Object& object) {
    for (;;) {
        switch (graph::state_of(object)) {
            case State::ready: {
                if (object.moved_out.load()) throw Error(graph::moved_out_words);
                detail::Writer writer;
                {
                    const Encoding encoding;
                    object.type->encode(object.content.value, writer);
                }
                return seal(writer);
            }
            case State::encoded:
                if (auto copy = graph::copy_encoded(object)) return copy;
                break;
            case State::decoding: sched_yield(); break;
            case State::failed: throw Error("the object failed");  // its failure goes instead
            default: throw Error("the object is not there yet");
        }
    }
}

const Encoded& Exchange::form_of(Shared& shared) {
    Object* object = nullptr;
    {
        std::lock_guard guard(forms_mutex_);
        if (shared.published) return *shared.published;
        object = shared.object;
    }
    if (object == nullptr) throw Error("the object is gone");
    std::unique_ptr<Encoded> form = make_form(*object);
    std::lock_guard guard(forms_mutex_);
    if (!shared.published) shared.published = std::move(form);
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
    head->lent = true;
    head->exchange = this;
    head->shared = pinned;
    head->exchange_is_open = open_;
    head->dispose = &PinnedHead::let_go;
    Lock lock(mutex_);
    ++pinned->pins;
    ++sums_.values_mapped;
    lock.unlock();
    return Buffer(head.release());
}

/// Takes over all references, which count whatever becomes of the value.
FormFields Exchange::read_fields(RecordReader& reader) {
    const auto block = [&]() -> FormFields::Block {
        const auto offset = reader.get<std::uint64_t>();
        return {offset, reader.get<std::uint64_t>()};
    };
    FormFields fields;
    fields.encoded = std::make_unique<Encoded>();
    const std::uint32_t blocks = reader.count(16);
    for (std::uint32_t i = 0; i < blocks; ++i) fields.blocks.push_back(block());
    const std::uint32_t references = reader.count(sizeof(ObjectId) + 1);
    for (std::uint32_t i = 0; i < references; ++i) {
        fields.encoded->references.push_back(adopt(reader));
    }
    if (reader.get<std::uint8_t>() != 0) {
        fields.stream_block = block();
    } else {
        const std::span<const std::byte> stream = reader.bytes(reader.count(1));
        fields.encoded->stream.assign(stream.begin(), stream.end());
    }
    return fields;
}

/// Maps the blocks, or makes room for them: throws StoreFull where there is none.
Arrived Exchange::take_form(Rank from, FormFields fields, Shared* pinned) {
    Arrived arrived;
    const bool mapped = network_.cluster().peer_arena(from) != nullptr && pinned != nullptr &&
                        network_.transport().verb(from) == transport::Verb::map;
    const auto take = [&](const FormFields::Block& block) -> Buffer {
        if (mapped) return map_block(from, block.offset, block.bytes, pinned);
        Buffer buffer = detail::allocate_buffer(block.bytes);
        arrived.parts.push_back({from, block.offset, {buffer.data(), block.bytes}});
        return buffer;
    };
    for (const auto& block : fields.blocks) fields.encoded->attachments.push_back(take(block));
    if (fields.stream_block) {
        fields.encoded->stream_block = take(*fields.stream_block);
        fields.encoded->stream_bytes = fields.encoded->stream_block.size();
    }
    arrived.encoded = std::move(fields.encoded);
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
    Shared* const pinned = block ? Object::of(*block).shared.load() : nullptr;
    Arrived arrived = take_form(from, read_fields(reader), pinned);
    // Without pins of its own (fetched blocks) the keeper must outlive the transfer.
    if (block && !arrived.parts.empty()) arrived.encoded->references.push_back(std::move(block));
    return arrived;
}

}  // namespace mobula::runtime
