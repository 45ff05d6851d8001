// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "base/driving.hpp"
#include "base/ids.hpp"
#include "transport/cluster.hpp"
#include "wire/messages.hpp"

namespace mobula::runtime {

/// Where the driver runs.
inline constexpr Rank driver_rank{};

/// The other ranks, as the parts of the runtime see them. Thread-safe.
class Network {
public:
    explicit Network(transport::Cluster& cluster)
        : cluster_(cluster), self_(cluster.self()), roster_(incarnations(cluster)) {}

    [[nodiscard]] Rank self() const noexcept { return self_; }
    [[nodiscard]] std::size_t ranks() const noexcept { return roster_.ranks(); }
    /// Stands in the names of this rank's objects.
    [[nodiscard]] Incarnation incarnation() const { return roster_.incarnation(self_); }
    [[nodiscard]] bool alone() const noexcept { return ranks() == 1; }
    [[nodiscard]] transport::Cluster& cluster() noexcept { return cluster_; }
    [[nodiscard]] transport::Transport& transport() noexcept { return cluster_.transport(); }
    [[nodiscard]] Node node_of(Rank rank) const noexcept { return cluster_.nodes()[index(rank)]; }

    /// Hears what has come, once; whether anything happened.
    bool drive() noexcept {
        const Driving driving;
        return !alone() && transport().progress();
    }
    /// What was sent leaves now.
    void flush() noexcept {
        if (!alone()) transport().flush();
    }
    /// Wakes the thread that sleeps until something comes: what was sent shall leave.
    void wake_sleeper() noexcept { transport().wake(); }

    void send(Rank to, const wire::RecordWriter& record) {
        cluster_.transport().send(to, record.span());
    }
    template <class Message>
        requires wire::HasFields<Message>
    void send(Rank to, const Message& message) {
        send(to, wire::Written(message));
    }

    /// What a record says behind its kind. Throws Error on what names a rank that does not exist,
    /// or does not fit.
    template <class Message>
    [[nodiscard]] Message read(wire::RecordReader& record) const {
        return wire::read<Message>(record, roster_);
    }
    [[nodiscard]] wire::Reference read_reference(wire::RecordReader& record) const {
        return wire::read_part<wire::Reference>(record, roster_);
    }

private:
    static std::vector<Incarnation> incarnations(const transport::Cluster& cluster) {
        std::vector<Incarnation> all;
        for (std::size_t i = 0; i < cluster.ranks(); ++i) {
            all.push_back(cluster.incarnation(static_cast<Rank>(i)));
        }
        return all;
    }

    transport::Cluster& cluster_;
    Rank self_;
    wire::Roster roster_;
};

}  // namespace mobula::runtime
