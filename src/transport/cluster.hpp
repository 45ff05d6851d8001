// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/arena.hpp"
#include "transport/transport.hpp"
#include "transport/ucx.hpp"

namespace mobula::native {
class MpiSession;
}

namespace mobula::transport {

/// The ranks of the job after they have met: who there is, what each said of itself, this rank's
/// arena, the arenas of the ranks that share its node, and the transport between all of them, not
/// yet started. The one place where MPI, UCX and arenas come together, so that nothing above needs
/// a vendor's header.
///
///     auto cluster = transport::meet(&argc, &argv, settings, arena_bytes, hello);
///     ... compare cluster->hellos() ...
///     cluster->start(delegate);
///     ... cluster->transport() ...
///     cluster->finish(deadline);      // or abandon(code) once anybody has died
///
/// *Reentrant*; start(), finish() and abandon() belong to the thread that called meet().
class Cluster {
public:
    Cluster(std::unique_ptr<native::MpiSession> mpi, const Settings& settings,
            std::size_t arena_bytes, std::span<const std::byte> hello);
    /// Without MPI, for ranks inside one process (see loopback.hpp): who there is, is in `meeting`.
    Cluster(std::unique_ptr<UcxTransport> transport, Meeting meeting, std::size_t arena_bytes);
    /// Leaves MPI alone: without finish() the process should end by abandon().
    ~Cluster();
    Cluster(const Cluster&) = delete;
    Cluster& operator=(const Cluster&) = delete;

    [[nodiscard]] Rank self() const noexcept { return meeting_.self; }
    [[nodiscard]] std::size_t ranks() const noexcept { return meeting_.nodes.size(); }
    [[nodiscard]] const std::vector<Node>& nodes() const noexcept { return meeting_.nodes; }
    /// Which start of the rank's process this is; tells it from one that was there before.
    [[nodiscard]] Incarnation incarnation(Rank rank) const noexcept {
        return meeting_.incarnations[index(rank)];
    }
    /// Per rank, what it gave to meet().
    [[nodiscard]] const std::vector<std::vector<std::byte>>& hellos() const noexcept {
        return hellos_;
    }
    [[nodiscard]] const std::vector<std::string>& host_names() const noexcept { return hosts_; }

    [[nodiscard]] store::Arena& arena() noexcept { return *arena_; }
    /// The peer's arena where it is mapped here (verb `map`), else nullptr. Stays readable after
    /// the peer's death, until this object goes.
    [[nodiscard]] const store::PeerArena* peer_arena(Rank peer) const noexcept {
        return peer_arenas_[index(peer)].get();
    }

    /// Starts the transport; `delegate` is borrowed for the life of this object. `dead_after`,
    /// the same on all ranks, takes the place of the setting unless it is 0: only the meeting tells
    /// how busy the nodes are.
    void start(Delegate& delegate, std::chrono::milliseconds dead_after = {});
    [[nodiscard]] Transport& transport() noexcept { return *transport_; }

    /// The clean end, when all ranks are alive and all call it: says goodbye, closes the transport
    /// and ends MPI. False when peers did not take the last messages in time; then, and after any
    /// death, MPI is not touched and abandon() is the way out. `last` is called when all has been
    /// received and before MPI's end, after which mpirun may lose what is printed.
    [[nodiscard]] bool finish(Time deadline, const std::function<void()>& last = {});

    /// Ends the process at once, without MPI's end, which would wait for the dead. Standard streams
    /// are flushed; nothing else is.
    [[noreturn]] static void abandon(int exit_code) noexcept;

private:
    std::unique_ptr<native::MpiSession> mpi_;
    std::unique_ptr<store::Arena> arena_;
    std::unique_ptr<UcxTransport> transport_;
    Meeting meeting_;
    std::vector<std::vector<std::byte>> hellos_;
    std::vector<std::string> hosts_;
    std::vector<std::unique_ptr<store::PeerArena>> peer_arenas_;
    std::unique_ptr<SharedBeat> beat_;  ///< of a rank that is not alone on its node
    std::vector<std::unique_ptr<SharedBeat::Watched>> peer_beats_;
    Duration heartbeat_{};
};

/// Starts MPI, makes arena and transport, and exchanges with all ranks what is needed to talk.
/// Collective. `hello` is the caller's own message to all ranks. Throws std::runtime_error (with
/// std::system_error and the errors of MPI and UCX) or std::invalid_argument for a bad setting.
[[nodiscard]] std::unique_ptr<Cluster> meet(int* argc, char*** argv, const Settings& settings,
                                            std::size_t arena_bytes,
                                            std::span<const std::byte> hello);

/// The versions of the libraries underneath, one line each, for `mobula doctor`. *Thread-safe*.
[[nodiscard]] std::vector<std::string> library_versions();

}  // namespace mobula::transport
