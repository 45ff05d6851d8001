// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "scheduler/resources.hpp"

namespace mobula::core {

/// A placement group: the rank that made it, its maker, and a count of that rank.
using GroupId = std::uint64_t;
inline constexpr unsigned group_number_bits = 40;  ///< above them is the maker
[[nodiscard]] constexpr Rank maker_of(GroupId group) noexcept {
    return static_cast<Rank>(group >> group_number_bits);
}

/// The name of a bundle in the job.
struct BundleKey {
    GroupId group;
    unsigned bundle;
    auto operator<=>(const BundleKey&) const = default;
};
struct NumberedBundle {
    unsigned number;
    scheduler::Amounts amounts;
};
/// A bundle, and the rank that it is to be reserved on.
struct PlacedBundle {
    Rank rank;
    scheduler::Amounts amounts;
};

/// Throws Infeasible where a demand is larger than the bundle that it names.
void check_fit(const scheduler::Amounts& bundle, const scheduler::Amounts& asked);

/// What one rank has given out of its resources and to which demands, what waits for them, and the
/// placement groups that were made there. A pure state machine: each operation changes the state
/// and says in Effects what is to be done outside. A value; reentrant, as all of this header.
///
/// A demand takes all that it asks for or waits. A bundle of a placement group is a part of the
/// rank with a ledger of its own, which demands name in place of the rank. When resources come
/// back, demands are served first and then groups, both in the order of their arrival; one for
/// which there is no room keeps nobody behind it waiting.
///
/// The maker of a group reserves its bundles rank after rank in the order of the ranks, all of one
/// rank at once. A rank that has no room at present answers when it has. Since all makers go
/// through the ranks in one order, and none holds a part of what it wants of one, groups that want
/// the same resources wait for each other in no circle. Messages of two operations may overtake
/// each other: a request that comes behind the end of its group is answered, and its maker, which
/// knows the group no more, gives it back.
class Reservations {
public:
    /// A demand that holds or waits: counted from 1 in the order of arrival.
    enum class Claim : std::uint64_t {};

    struct Demand {
        std::uint64_t token = 0;  ///< of the caller, given back in Effects; means nothing here
        scheduler::Amounts amounts;
        std::optional<BundleKey> bundle = {};  ///< that it is to be from; else of the rank itself
        Time since = {};                       ///< when it came, for lists
    };
    struct Claimed {
        Demand demand;
        std::vector<unsigned> gpus = {};  ///< the numbers of those that it holds
        std::uint64_t serial = 0;         ///< of the bundle that it holds a part of; 0: of none
        bool begun = false;               ///< its CPUs are kept from usual tasks
        bool lends = false;               ///< its CPUs are with others
    };
    using Claims = std::map<Claim, Claimed>;

    /// A request for all bundles that a group wants of this rank.
    struct Request {
        Rank maker;
        GroupId group;
        std::vector<NumberedBundle> bundles;
        Time since = {};
    };
    struct Bundle {
        scheduler::Amounts amounts;
        std::vector<unsigned> gpus;
        scheduler::Ledger ledger;
        std::uint64_t serial;  ///< tells it from one of the same name that was there before
    };
    /// A group that was made here.
    struct Group {
        std::vector<PlacedBundle> bundles;  ///< by their numbers
        std::vector<unsigned> order;        ///< those numbers in the order of the ranks
        std::size_t held = 0;               ///< of these, so many are reserved

        [[nodiscard]] bool complete() const noexcept { return held == order.size(); }
        /// Behind the last bundle that the next rank is asked for.
        [[nodiscard]] std::size_t end_of_rank() const noexcept;
    };

    /// What has to be done outside after an operation; appended, so that it can be used again.
    struct Effects {
        /// A demand that waits no more.
        struct Ready {
            std::uint64_t token;
            bool granted;                ///< else it gets nothing: its bundle is gone
            std::vector<unsigned> gpus;  ///< that it was granted
        };
        struct Message {
            enum class Kind : std::uint8_t {
                hold,  ///< reserve these bundles for the group
                held,  ///< they are reserved
                free,  ///< the group needs nothing any more
            };
            Kind kind;
            Rank to;
            GroupId group;
            std::vector<NumberedBundle> bundles = {};  ///< of a `hold`
        };

        std::vector<Ready> ready;
        std::vector<Message> messages;
        std::vector<GroupId> complete;  ///< groups made here of which all is reserved now
    };

    /// The rank has so much; the GPUs as for a Ledger.
    Reservations(Rank self, scheduler::Amounts total, std::vector<unsigned> gpus);

    // ---- demands ----

    struct Taken {
        Claim claim;
        bool granted;  ///< else it waits
        std::vector<unsigned> gpus;
    };
    /// Throws Infeasible for a bundle that is not here or is too small.
    [[nodiscard]] Taken take(Demand demand);
    /// Of one that holds: from now on its CPUs are kept from usual tasks, which ask for one CPU
    /// each and are not counted themselves.
    void begin(Claim claim);
    /// What it holds is free again; what it held of a bundle that is gone went with that.
    void release(Claim claim, Effects& effects);
    /// While what holds it waits, its CPUs are with others; GPUs and the rest stay with it. Those
    /// that wait hear of lent CPUs in settle().
    void set_lends(Claim claim, bool lends);
    /// Of one that waits: it wants nothing any more.
    void withdraw(Claim claim);
    /// Serves what waits and can be served.
    void settle(Effects& effects);

    // ---- placement groups ----

    /// Makes a group of at least one bundle, and reserves what it can.
    GroupId create(std::vector<PlacedBundle> bundles, Time now, Effects& effects);
    /// Gives up all that is reserved or asked for; whether the group was not complete. A group that
    /// is not known is none.
    bool remove(GroupId group, Effects& effects);

    // What other ranks say; throws Error for what they never say.
    void on_hold(Rank from, Request request, Effects& effects);
    void on_held(Rank from, GroupId group, Time now, Effects& effects);
    void on_free(Rank from, GroupId group, Effects& effects);

    // ---- the state ----

    [[nodiscard]] const scheduler::Ledger& own() const noexcept { return own_; }
    [[nodiscard]] const Claims& waiting() const noexcept { return waiting_; }
    [[nodiscard]] const Claims& held() const noexcept { return held_; }
    [[nodiscard]] const std::map<BundleKey, Bundle>& bundles() const noexcept { return bundles_; }
    [[nodiscard]] const std::vector<Request>& requests() const noexcept { return requests_; }
    [[nodiscard]] const std::map<GroupId, Group>& groups() const noexcept { return groups_; }
    /// The whole CPUs that are left for usual tasks; nothing while none are kept from them.
    [[nodiscard]] std::optional<std::int64_t> cpus_for_usual() const noexcept;

    /// What a demand for so much waits for.
    struct Lack {
        scheduler::Amounts free;
        std::vector<Claim> holders;   ///< that have of what is missing, the latest first
        std::vector<GroupId> groups;  ///< the same, once for each bundle
    };
    /// Nothing for a bundle that is gone. At most `count` holders and groups.
    [[nodiscard]] std::optional<Lack> lack(const scheduler::Amounts& amounts,
                                           const std::optional<BundleKey>& bundle,
                                           std::size_t count) const;

private:
    /// The ledger of the rank or of a bundle, which may be gone.
    struct Source {
        scheduler::Ledger* ledger = nullptr;
        std::uint64_t serial = 0;
    };

    [[nodiscard]] Source find_source(const std::optional<BundleKey>& bundle) noexcept;
    [[nodiscard]] scheduler::Ledger* ledger_held_by(const Claimed& claimed) noexcept;
    void set_lends(Claimed& claimed, bool lends);
    void serve_demands(Effects& effects);
    void serve_requests(Effects& effects);
    void check_new(const Request& request) const;
    [[nodiscard]] bool reserve(const Request& request);
    void reserve_here(Request request, Effects& effects);
    void reserve_next(GroupId id, const Group& group, Time now, Effects& effects);
    void answer(const Request& request, Effects& effects);
    void granted(GroupId group, Rank holder, Time now, Effects& effects);
    void give_back(GroupId group, Rank holder, Effects& effects);
    void free_here(GroupId group, Effects& effects);

    Rank self_;
    scheduler::Ledger own_;
    std::map<BundleKey, Bundle> bundles_;  ///< reserved on this rank
    Claims waiting_, held_;
    std::vector<Request> requests_;  ///< that wait for resources of this rank
    std::map<GroupId, Group> groups_;
    std::uint64_t next_claim_ = 1, next_serial_ = 1, next_group_ = 1;
    std::int64_t kept_cpus_ = 0;  ///< in steps, from usual tasks
};

}  // namespace mobula::core
