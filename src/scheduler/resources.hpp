// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <mobula/options.hpp>

#include "base/ids.hpp"
#include "wire/record.hpp"

namespace mobula::scheduler {

/// What a task asks for or what a rank has: CPUs, GPUs and custom resources, counted in whole
/// ten-thousandths, so that sums are exact. A value; pure and reentrant, as all of this header.
class Amounts {
public:
    /// Steps in one CPU, GPU or custom unit.
    static constexpr std::int64_t one = 10'000;
    /// The largest amount of anything, in steps; far from where sums would overflow.
    static constexpr std::int64_t max = one * 1'000'000'000;
    static constexpr std::size_t custom_max = 64;       ///< names
    static constexpr std::size_t name_bytes_max = 200;  ///< of a custom resource

    using Custom = std::vector<std::pair<std::string, std::int64_t>>;  ///< by name, none 0

    Amounts() = default;
    /// Throws BadInput for what is negative, not a number, finer than a step or too large, for a
    /// part of several GPUs (1.5), and for a custom resource without a name or named as the two.
    Amounts(double cpus, double gpus, const Resources& custom = {});

    [[nodiscard]] static Amounts of(const TaskOptions& options) {
        return {options.cpus, options.gpus, options.resources};
    }
    [[nodiscard]] static Amounts of(const ActorOptions& options) {
        return {options.cpus, options.gpus, options.resources};
    }
    /// A bundle names its CPUs and GPUs "cpus" and "gpus" among the rest.
    [[nodiscard]] static Amounts of_bundle(Resources bundle);
    /// In steps, from where they were checked before.
    [[nodiscard]] static Amounts of_cpus(std::int64_t steps);

    /// All of these in steps.
    [[nodiscard]] std::int64_t cpus() const noexcept { return cpus_; }
    [[nodiscard]] std::int64_t gpus() const noexcept { return gpus_; }
    [[nodiscard]] std::int64_t custom(std::string_view name) const noexcept;
    [[nodiscard]] const Custom& custom() const noexcept { return custom_; }
    [[nodiscard]] bool empty() const noexcept {
        return cpus_ == 0 && gpus_ == 0 && custom_.empty();
    }

    Amounts& operator+=(const Amounts& other);
    /// What is taken must be there, but for CPUs, which may be lent; see Ledger.
    Amounts& operator-=(const Amounts& other);
    friend bool operator==(const Amounts&, const Amounts&) = default;

    void encode(wire::RecordWriter& writer) const;
    void encode(std::vector<std::byte>& bytes) const;
    /// Throws Error for bytes that are no amounts.
    [[nodiscard]] static Amounts decode(wire::RecordReader& reader);

private:
    [[nodiscard]] std::int64_t& at(const std::string& name);

    std::int64_t cpus_ = 0;
    std::int64_t gpus_ = 0;
    Custom custom_;
};

/// Whether `total` has at least as much of everything.
[[nodiscard]] bool fits(const Amounts& total, const Amounts& demand) noexcept;

/// "2 cpus, 0.5 gpus and 1 accel"; "nothing".
[[nodiscard]] std::string describe(const Amounts& amounts);

/// Empty when one of the ranks has what is asked when nothing else runs there. Else a sentence that
/// says what was asked and what there is, for Infeasible. `totals` has an element per rank; only
/// the ranks in `among` count, all if it is empty.
[[nodiscard]] std::optional<std::string> infeasible(const Amounts& demand,
                                                    std::span<const Amounts> totals,
                                                    std::span<const Rank> among = {});

/// What one rank, or one bundle of a placement group, has and has given out.
///
/// A demand of whole GPUs gets GPUs that nobody else has; one below 1 gets a part of one GPU, and
/// the fullest GPU that has room for it, so that whole ones stay whole.
class Ledger {
public:
    /// GPUs as their numbers; one for each started unit of total.gpus(). Of a part, the number of
    /// the GPU that it is of.
    Ledger(Amounts total, std::vector<unsigned> gpus);
    /// GPUs 0, 1, ... as many as total.gpus() needs.
    explicit Ledger(Amounts total);

    [[nodiscard]] const Amounts& total() const noexcept { return total_; }
    /// CPUs may be below 0 while more work goes on than there is room for; see take_back_cpus.
    [[nodiscard]] const Amounts& free() const noexcept { return free_; }
    [[nodiscard]] bool idle() const noexcept { return free_ == total_; }

    /// Takes the demand out and gives the numbers of its GPUs; empty, and nothing is changed, when
    /// there is not enough at present.
    [[nodiscard]] std::optional<std::vector<unsigned>> try_acquire(const Amounts& demand);
    /// Whether try_acquire would succeed.
    [[nodiscard]] bool has(const Amounts& demand) const;
    /// Gives back what try_acquire gave, with the same demand.
    void release(const Amounts& demand, std::span<const unsigned> gpus);

    /// A task that waits for others lends its CPUs to them, since they may need just those; GPUs
    /// and the rest stay with it, because its data are there.
    void lend_cpus(const Amounts& demand);
    /// It goes on and has its CPUs at once, whoever has them now: a short overload, no deadlock.
    void take_back_cpus(const Amounts& demand);

private:
    struct Gpu {
        unsigned number;
        std::int64_t total, free;
    };

    [[nodiscard]] std::optional<std::vector<unsigned>> choose_gpus(std::int64_t demand) const;
    void change_gpus(std::int64_t demand, std::span<const unsigned> numbers, std::int64_t sign);

    Amounts total_, free_;
    std::vector<Gpu> gpus_;
};

}  // namespace mobula::scheduler
