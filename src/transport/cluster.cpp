// SPDX-License-Identifier: Apache-2.0
#include "transport/cluster.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

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

std::size_t ranks_on_node_of(Rank self, const std::vector<Node>& nodes) {
    return static_cast<std::size_t>(std::count(nodes.begin(), nodes.end(), nodes[index(self)]));
}

}  // namespace

Cluster::Cluster(std::unique_ptr<native::MpiSession> mpi, const Settings& settings,
                 std::size_t arena_bytes, std::span<const std::byte> hello)
    : mpi_(std::move(mpi)),
      arena_(std::make_unique<store::Arena>(arena_bytes)),
      transport_(make_ucx_transport(settings, mpi_->ranks(),
                                    ranks_on_node_of(mpi_->self(), mpi_->nodes()))),
      peer_arenas_(mpi_->ranks()) {
    const std::string host = host_name();
    Bytes mine;
    append_field(mine, transport_->address());
    append_field(mine, arena_->ticket());
    append_field(mine, std::as_bytes(std::span(host)));
    append_field(mine, hello);
    const auto said = mpi_->allgather(mine);

    meeting_.self = mpi_->self();
    meeting_.nodes = mpi_->nodes();
    meeting_.incarnations.resize(said.size());
    meeting_.mapped.resize(said.size());
    const bool may_map = settings.force_verb.empty() || settings.force_verb == "map";
    for (std::size_t r = 0; r < said.size(); ++r) {
        std::span<const std::byte> rest(said[r]);
        meeting_.addresses.push_back(take_field(rest, r));
        const Bytes ticket = take_field(rest, r);
        const Bytes name = take_field(rest, r);
        hosts_.emplace_back(reinterpret_cast<const char*>(name.data()), name.size());
        hellos_.push_back(take_field(rest, r));
        if (r == index(self()) || !may_map || nodes()[r] != nodes()[index(self())]) continue;
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
    transport_->start(meeting_, {arena_->base(), arena_->bytes()}, delegate);
}

bool Cluster::finish(Time deadline) {
    const bool in_order = transport_->leave(deadline);
    if (in_order) transport_->close(deadline);
    transport_.reset();
    if (!in_order) return false;
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
