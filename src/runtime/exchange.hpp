// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/clerk.hpp"
#include "runtime/network.hpp"
#include "runtime/shared.hpp"
#include "runtime/stall.hpp"

namespace mobula::runtime {

using detail::Buffer;
using detail::CellPtr;
using graph::Encoded;
using graph::Object;
using graph::Shared;

/// Adds a reference unless the last one has just gone.
[[nodiscard]] CellPtr try_share_object(Object& object) noexcept;

/// Whether the value is so small that it may go along with a reference. Runs code of the user's
/// where weighs_by_users_code().
[[nodiscard]] bool goes_along(const Object& object) noexcept;

/// A value that arrived, and what is still on its way to it.
struct Arrived {
    struct Part {
        Rank from;
        std::uint64_t offset;
        std::span<std::byte> into;
    };
    std::unique_ptr<Encoded> encoded;
    std::vector<Part> parts;  ///< blocks that must be fetched before the value may be read
};

/// How the bringing of parts ended.
struct Pulled {
    std::string_view refusal;  ///< a sentence, or empty
    /// A peer is gone, with bytes that have not come. The job ends for that, with its own sentence:
    /// nobody shall hear of what follows from it before, so what waits goes on waiting.
    bool lost = false;

    [[nodiscard]] bool whole() const noexcept { return refusal.empty() && !lost; }
};

/// A form as it lies in a record.
struct FormFields {
    struct Block {
        std::uint64_t offset, bytes;
    };
    std::vector<Block> blocks;
    std::optional<Block> stream_block;
    std::unique_ptr<Encoded> encoded;  ///< without its blocks
};

/// Objects between ranks: names them, counts who holds them, tells who waits, moves their bytes.
/// The owner of an object answers for it; nothing goes through any other rank. Thread-safe; the
/// `on_` members are called while the network is driven.
class Exchange {
public:
    struct Limits {
        std::size_t inline_bytes = 4096;  ///< largest value inside a message
    };
    /// Told when the last handle of an actor that this rank spawned is gone everywhere.
    using ActorEnded = std::function<void(const ObjectId& actor, Rank rank)>;

    Exchange(Network& network, Clerk& clerk, Limits limits, ActorEnded actor_ended);
    ~Exchange() { close(); }
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    /// From now on nothing is given back to other ranks by what outlives the exchange.
    void close() noexcept { *open_ = false; }

    // ---- references ----

    /// Writes a reference to the object for `to`, which from then on counts as a holder.
    void describe(Object& object, Rank to, wire::RecordWriter& writer);
    /// Reads a reference that was described for this rank.
    [[nodiscard]] CellPtr adopt(wire::RecordReader& reader);
    /// The last reference of this rank went.
    void dispose(Object& object) noexcept;
    /// Names the object; makes it known as an actor where `rank` is given.
    ObjectId publish(Object& object, const Rank* actor_rank = nullptr);
    /// Where the actor lives that the cell stands for; throws Error for any other object.
    [[nodiscard]] std::pair<ObjectId, Rank> actor_of(Object& actor);
    /// Asks the owner of an object that is only held here to cancel what makes it; false for one
    /// of this rank's own.
    bool cancel_at_owner(Object& object, bool recursive);
    /// Notes that calls of this rank depend on the actor's life.
    struct WatchedActor {
        ObjectId id;
        Rank rank;
        bool first;               ///< it was not watched from here before
        graph::FailurePtr death;  ///< if it is known here
    };
    [[nodiscard]] WatchedActor watch_actor(Object& actor);
    /// The actor is dead, as its rank says.
    void note_death(const ObjectId& actor, const graph::FailurePtr& death);
    /// An object that this rank owns, if it still exists.
    [[nodiscard]] CellPtr find_owned(const ObjectId& id);

    // ---- values ----

    /// Somebody waits for the object (for its bytes, if `value`): asks for it where needed.
    void want(Object& object, bool value);
    /// Where most of a value's bytes are and how many: this rank for a value that is here.
    [[nodiscard]] std::pair<Rank, std::size_t> place_of(Object& object);
    /// The travelling form of what a Writer took; blocks are moved into the arena.
    [[nodiscard]] std::unique_ptr<Encoded> seal(detail::Writer& writer);
    /// Whether the form fits into a message.
    [[nodiscard]] bool fits_inline(const detail::Writer& writer) const;
    /// Writes a form for `to`. Its blocks stay alive with `block`, an object made for them.
    void put_encoded(const Encoded& encoded, Rank to, wire::RecordWriter& writer);
    [[nodiscard]] Arrived get_encoded(Rank from, wire::RecordReader& reader);
    /// Fetches the parts, then calls `done`, while the network is driven.
    void pull(std::vector<Arrived::Part> parts, std::function<void(const Pulled&)> done);
    /// Keeps a value made here for another owner; the serial under which it is fetched.
    std::uint64_t keep_copy(Object& object, std::unique_ptr<Encoded> form);
    /// Frees a value that was kept for this rank on another one and that it will not ask for.
    void drop_copy(Rank where, std::uint64_t copy);
    /// The owner learns that its object's bytes are kept elsewhere.
    void set_location(Object& object, const wire::Place& place);

    // ---- from other ranks ----

    void on_subscribe(Rank from, const wire::Subscribe& message);
    void on_done(const wire::Done& message);
    void on_fetch(Rank from, const wire::Fetch& message);
    void on_value(Rank from, const wire::Value& message, wire::RecordReader& tail);
    void on_grant(const wire::Grant& message);
    void on_release(Rank from, const wire::Release& message);
    void on_drop(const wire::Drop& message);

    // ---- sight ----

    struct Sums {
        std::size_t owned = 0, held = 0, copies = 0;
        std::uint64_t bytes_pulled = 0, values_mapped = 0, fetches = 0;
    };
    [[nodiscard]] Sums sums();
    /// Who makes an object that is waited for.
    [[nodiscard]] Waiting::Target target_of(Object& object);
    /// The actors that this rank has handles of, or keeps for others.
    [[nodiscard]] std::vector<std::pair<ObjectId, CellPtr>> actor_handles();
    /// Objects of this rank that other ranks wait for, as links between those and their makers.
    void list(std::vector<Waiting>& all);
    [[nodiscard]] std::vector<std::pair<ObjectId, CellPtr>> waited_for();
    [[nodiscard]] Rank self() const noexcept { return network_.self(); }

private:
    friend struct PinnedHead;
    using Lock = std::unique_lock<std::mutex>;

    Shared& publish_locked(Object& object);
    /// What this rank knows of an object that has this name; null if nothing. The lock is held.
    Shared* find(const ObjectId& id);
    /// The same for one that it owns.
    Shared* find_own(const ObjectId& id);
    void unpin(Shared& shared) noexcept;
    [[nodiscard]] std::unique_ptr<Shared> end_locked(Shared& shared) noexcept;
    [[nodiscard]] std::unique_ptr<Encoded> start_fetch(Shared& shared);
    [[nodiscard]] std::unique_ptr<Encoded> make_form(Object& object);
    [[nodiscard]] const Encoded& form_of(Shared& shared);
    void answer(Shared& shared, Rank to, bool value);
    [[nodiscard]] bool is_for_clerk(Shared& shared, bool value);
    [[nodiscard]] bool has_form_soon(Shared& shared);
    void finish_dispose(Object& object, Shared& shared) noexcept;
    template <class Then>
    void keep_for_clerk(Shared& shared, Then then);
    void send_value(Shared& shared, const ObjectId& id, Rank to);
    void notify_subscribers(Shared& shared);
    [[nodiscard]] Buffer map_block(Rank from, std::uint64_t offset, std::uint64_t bytes,
                                   Shared* pinned);
    [[nodiscard]] FormFields read_fields(wire::RecordReader& reader);
    [[nodiscard]] Arrived take_form(Rank from, FormFields fields, Shared* pinned);
    void write_form(const Encoded& encoded, Rank to, wire::RecordWriter& writer);
    void arrive(Shared& shared, Arrived arrived);
    void describe_place(const Object& object, wire::Reference& reference);

    Network& network_;
    Clerk& clerk_;
    Limits limits_;
    ActorEnded actor_ended_;
    std::mutex mutex_;
    std::mutex forms_mutex_;  ///< of Shared::published; taken after nothing, before mutex_
    std::unordered_map<std::uint64_t, std::unique_ptr<Shared>> owned_;  ///< owned and copies
    std::unordered_map<ObjectId, std::unique_ptr<Shared>> held_;
    std::uint64_t next_serial_ = 1;
    Sums sums_;
    const std::shared_ptr<std::atomic<bool>> open_ = std::make_shared<std::atomic<bool>>(true);
};

}  // namespace mobula::runtime
