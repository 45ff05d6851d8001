// SPDX-License-Identifier: Apache-2.0
#include "transport/cluster.hpp"

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "native/memory.hpp"
#include "native/mpi.hpp"
#include "native/ucp.hpp"

namespace mobula::transport {

namespace {

using Bytes = std::vector<std::byte>;

// What a rank says at the meeting: so many fields, each with its length before it.
void append_field(Bytes& to, std::span<const std::byte> field) {
    const std::uint64_t bytes = field.size();
    const auto length = std::as_bytes(std::span(&bytes, 1));
    to.insert(to.end(), length.begin(), length.end());
    to.insert(to.end(), field.begin(), field.end());
}

Bytes take_field(std::span<const std::byte>& from, std::size_t rank) {
    std::uint64_t bytes = 0;
    if (from.size() >= sizeof bytes) std::memcpy(&bytes, from.data(), sizeof bytes);
    if (from.size() < sizeof bytes || bytes > from.size() - sizeof bytes) {
        throw std::runtime_error(
            fmt::format("rank {} speaks another protocol; all ranks must run one build", rank));
    }
    const auto field = from.subspan(sizeof bytes, bytes);
    from = from.subspan(sizeof bytes + bytes);
    return {field.begin(), field.end()};
}

std::string host_name() {
    char name[256] = {};
    (void)::gethostname(name, sizeof name - 1);
    return name;
}

Token make_token() {
    Token token;
    if (::getrandom(token.data(), sizeof token, 0) != static_cast<ssize_t>(sizeof token)) {
        throw std::system_error(errno, std::generic_category(), "no random bits for the job");
    }
    return token;
}

/// Of a rank that comes again it is another, and later, one.
Incarnation make_incarnation() {
    const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
    return Incarnation{static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::seconds>(since_1970).count())};
}

/// What was written by append_field() of one value.
template <class Value>
Value value_of(const Bytes& field, std::size_t rank) {
    Value value{};
    if (field.size() != sizeof value) {
        throw std::runtime_error(
            fmt::format("rank {} speaks another protocol; all ranks must run one build", rank));
    }
    std::memcpy(&value, field.data(), sizeof value);
    return value;
}

std::size_t ranks_on_node_of(Rank self, const std::vector<Node>& nodes) {
    return static_cast<std::size_t>(std::count(nodes.begin(), nodes.end(), nodes[index(self)]));
}

/// Whether all ranks are on one node and see each other's processes there, and so their memory:
/// ranks in containers of their own are not together, although MPI has them on one node.
bool are_together(native::MpiSession& mpi) {
    const std::string machine = native::boot_id() + native::pid_space();
    const auto said = mpi.allgather(std::as_bytes(std::span(machine)));
    return ranks_on_node_of(mpi.self(), mpi.nodes()) == mpi.ranks() &&
           std::all_of(said.begin(), said.end(),
                       [&](const Bytes& other) { return other == said.front(); });
}

}  // namespace

Cluster::Cluster(std::unique_ptr<native::MpiSession> mpi, const Settings& settings,
                 std::size_t arena_bytes, std::span<const std::byte> hello)
    : mpi_(std::move(mpi)),
      arena_(std::make_unique<store::Arena>(arena_bytes)),
      transport_(make_ucx_transport(settings, mpi_->ranks(),
                                    ranks_on_node_of(mpi_->self(), mpi_->nodes()),
                                    are_together(*mpi_))),
      peer_arenas_(mpi_->ranks()),
      peer_beats_(mpi_->ranks()),
      heartbeat_(settings.heartbeat) {
    const std::string host = host_name();
    Bytes mine;
    append_field(mine, transport_->address());
    append_field(mine, arena_->ticket());
    append_field(mine, std::as_bytes(std::span(host)));
    append_field(mine, hello);
    // The first rank's counts.
    const Token token = make_token();
    append_field(mine, std::as_bytes(std::span(token)));
    if (ranks_on_node_of(mpi_->self(), mpi_->nodes()) > 1) beat_ = std::make_unique<SharedBeat>();
    append_field(mine, beat_ ? beat_->ticket() : Bytes());
    const Incarnation incarnation = make_incarnation();
    append_field(mine, std::as_bytes(std::span(&incarnation, 1)));
    const auto said = mpi_->allgather(mine);

    meeting_.self = mpi_->self();
    meeting_.nodes = mpi_->nodes();
    meeting_.mapped.resize(said.size());
    meeting_.beats.resize(said.size());
    const bool may_map = settings.force_verb.empty() || settings.force_verb == "map";
    for (std::size_t r = 0; r < said.size(); ++r) {
        std::span<const std::byte> rest(said[r]);
        meeting_.addresses.push_back(take_field(rest, r));
        const Bytes ticket = take_field(rest, r);
        const Bytes name = take_field(rest, r);
        hosts_.emplace_back(reinterpret_cast<const char*>(name.data()), name.size());
        hellos_.push_back(take_field(rest, r));
        const auto offered = value_of<Token>(take_field(rest, r), r);
        if (r == 0) meeting_.token = offered;
        const Bytes beat = take_field(rest, r);
        meeting_.incarnations.push_back(value_of<Incarnation>(take_field(rest, r), r));
        if (r == index(self()) || nodes()[r] != nodes()[index(self())]) continue;
        peer_beats_[r] = SharedBeat::Watched::open(beat);
        meeting_.beats[r] = peer_beats_[r].get();
        if (!may_map) continue;
        peer_arenas_[r] = store::PeerArena::open(ticket);
        meeting_.mapped[r] = peer_arenas_[r] != nullptr;
    }
    // Nobody may die of being too fast: a ticket is good only while its rank lives.
    (void)mpi_->allgather({});
}

Cluster::Cluster(std::unique_ptr<UcxTransport> transport, Meeting meeting, std::size_t arena_bytes)
    : arena_(std::make_unique<store::Arena>(arena_bytes)),
      transport_(std::move(transport)),
      meeting_(std::move(meeting)),
      hellos_(ranks()),
      hosts_(ranks(), host_name()),
      peer_arenas_(ranks()) {}

Cluster::~Cluster() = default;

void Cluster::start(Delegate& delegate, std::chrono::milliseconds dead_after) {
    meeting_.declared_dead_after = dead_after;
    if (beat_) beat_->start(heartbeat_);
    transport_->start(meeting_, {arena_->base(), arena_->bytes()}, delegate);
    meeting_.addresses = {};  // the transport has its own copies
}

bool Cluster::finish(Time deadline, const std::function<void()>& last) {
    const bool in_order = transport_->leave(deadline);
    if (in_order) transport_->close(deadline);
    transport_.reset();
    if (!in_order) return false;
    if (last) last();
    if (mpi_) mpi_->finalize();
    return true;
}

void Cluster::abandon(int exit_code) noexcept {
    std::fflush(nullptr);
    ::_exit(exit_code);
}

std::unique_ptr<Cluster> meet(int* argc, char*** argv, const Settings& settings,
                              std::size_t arena_bytes, std::span<const std::byte> hello) {
    return std::make_unique<Cluster>(std::make_unique<native::MpiSession>(argc, argv), settings,
                                     arena_bytes, hello);
}

std::vector<std::string> library_versions() {
    return {"UCX " + native::ucx_version(), native::mpi_version()};
}

}  // namespace mobula::transport
