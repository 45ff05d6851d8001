// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "base/ids.hpp"
#include "transport/cluster.hpp"
#include "wire/record.hpp"

namespace mobula::runtime {

/// The other ranks, as the parts of the runtime see them. Thread-safe.
class Network {
public:
    explicit Network(transport::Cluster& cluster)
        : cluster_(cluster),
          self_(cluster.self()),
          ranks_(cluster.ranks()),
          incarnation_(cluster.incarnation(cluster.self())) {}

    [[nodiscard]] Rank self() const noexcept { return self_; }
    [[nodiscard]] std::size_t ranks() const noexcept { return ranks_; }
    /// Stands in the names of this rank's objects.
    [[nodiscard]] Incarnation incarnation() const noexcept { return incarnation_; }
    [[nodiscard]] bool alone() const noexcept { return ranks_ == 1; }
    [[nodiscard]] transport::Cluster& cluster() noexcept { return cluster_; }
    [[nodiscard]] transport::Transport& transport() noexcept { return cluster_.transport(); }
    [[nodiscard]] Node node_of(Rank rank) const noexcept { return cluster_.nodes()[index(rank)]; }

    void send(Rank to, const wire::RecordWriter& record) {
        cluster_.transport().send(to, record.span());
    }

    /// Reads a rank from a record; throws Error on one that does not exist.
    [[nodiscard]] Rank read_rank(wire::RecordReader& reader) const {
        const auto rank = reader.get<Rank>();
        if (index(rank) >= ranks_) throw Error("a record names a rank that does not exist");
        return rank;
    }

    /// The same for the name of an object; serial 0 names none.
    [[nodiscard]] ObjectId read_id(wire::RecordReader& reader) const {
        const auto id = reader.get<ObjectId>();
        if (index(id.owner) >= ranks_) {
            throw Error("a record names an object of a rank that does not exist");
        }
        if (id.serial != 0 && id.incarnation != cluster_.incarnation(id.owner)) {
            throw Error("a record names an object of an earlier start of its rank");
        }
        return id;
    }

private:
    transport::Cluster& cluster_;
    Rank self_;
    std::size_t ranks_;
    Incarnation incarnation_;
};

}  // namespace mobula::runtime
