// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <mobula/object.hpp>

namespace mobula {

/// Resources reserved on ranks as a gang, all bundles or none, while this object lives. A bundle is
/// a list of amounts: {"cpus", 2}, {"gpus", 1} or a custom resource. Other demands get none;
/// tasks of the usual one CPU keep off the CPUs only once something begins in the group. Throws
/// Infeasible where the ranks could never hold it. Thread-bound to its task.
class PlacementGroup {
public:
    explicit PlacementGroup(std::vector<Resources> bundles, Strategy strategy = Strategy::pack)
        : group_(detail::create_group(
              std::move(bundles),
              strategy == Strategy::spread || strategy == Strategy::strict_spread,
              strategy == Strategy::strict_pack || strategy == Strategy::strict_spread, ready_)) {}
    PlacementGroup(const PlacementGroup&) = delete;
    PlacementGroup& operator=(const PlacementGroup&) = delete;
    ~PlacementGroup() { detail::remove_group(group_); }

    /// Ready when all bundles are reserved; Cancelled when the group ends before that.
    [[nodiscard]] Ref<void> ready() const { return Ref<void>(ready_); }
    /// For TaskOptions::placement and ActorOptions::placement; on every rank once ready() is.
    [[nodiscard]] Placement bundle(unsigned number) const {
        return {Placement::Kind::bundle, number, true, group_, detail::bundle_home(group_, number)};
    }

private:
    detail::CellPtr ready_;
    std::uint64_t group_;
};

}  // namespace mobula
