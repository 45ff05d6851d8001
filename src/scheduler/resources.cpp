// SPDX-License-Identifier: Apache-2.0
#include "scheduler/resources.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include <mobula/error.hpp>

#include "base/check.hpp"

namespace mobula::scheduler {
namespace {

std::int64_t steps_of(std::string_view name, double amount) {
    const double steps = amount * static_cast<double>(Amounts::one);
    const double whole = std::round(steps);
    // 0.1 is no binary fraction; what is nearer to a step than this is meant to be that step.
    constexpr double noise = 1e-3;
    if (!(amount >= 0) || whole > static_cast<double>(Amounts::max) ||
        std::abs(steps - whole) > noise || (whole == 0 && amount > 0)) {
        throw BadInput(
            fmt::format("{} = {} is not allowed; an amount of a resource is a number "
                        "from 0 to 1000000000 in steps of 0.0001",
                        name, amount));
    }
    return static_cast<std::int64_t>(whole);
}

std::string print(std::int64_t steps) {
    return fmt::format("{}", static_cast<double>(steps) / static_cast<double>(Amounts::one));
}

void append(std::vector<std::byte>& bytes, const void* data, std::size_t size) {
    const auto* first = static_cast<const std::byte*>(data);
    bytes.insert(bytes.end(), first, first + size);
}

/// "a, b and c"
std::string join(const std::vector<std::string>& parts) {
    std::string text;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (i != 0) text += i + 1 == parts.size() ? " and " : ", ";
        text += parts[i];
    }
    return text;
}

/// One that its user takes for the rank's CPUs or GPUs.
bool is_like_cpus_or_gpus(std::string_view name) {
    if (name.starts_with("num_")) name.remove_prefix(4);
    if (name.ends_with('s') || name.ends_with('S')) name.remove_suffix(1);
    return name == "cpu" || name == "CPU" || name == "gpu" || name == "GPU";
}

}  // namespace

// ---- Amounts ----

Amounts::Amounts(double cpus, double gpus, const Resources& custom)
    : cpus_(steps_of("cpus", cpus)), gpus_(steps_of("gpus", gpus)) {
    if (gpus_ > one && gpus_ % one != 0) {
        throw BadInput(
            fmt::format("gpus = {} is not allowed; a part of a GPU is below 1, more "
                        "than one GPU is a whole number",
                        gpus));
    }
    for (const auto& [name, amount] : custom) {
        if (is_like_cpus_or_gpus(name)) {
            throw BadInput(fmt::format(
                "\"{}\" is not allowed as the name of a custom resource; CPUs and GPUs are asked "
                "for as cpus and gpus",
                name));
        }
        if (name.empty() || name.size() > name_bytes_max) {
            throw BadInput(
                fmt::format("\"{}\" is not allowed as the name of a custom resource; it "
                            "must have 1 to {} letters",
                            name.substr(0, name_bytes_max), name_bytes_max));
        }
        const std::int64_t steps = steps_of(name, amount);
        if (steps != 0) custom_.emplace_back(name, steps);  // a map is in order already
    }
    if (custom_.size() > custom_max) {
        throw BadInput(fmt::format("{} custom resources are too many; at most {} are allowed",
                                   custom_.size(), custom_max));
    }
}

Amounts Amounts::of_bundle(Resources bundle) {
    const auto take = [&](const char* name) {
        const auto node = bundle.extract(name);
        return node.empty() ? 0.0 : node.mapped();
    };
    const double cpus = take("cpus");
    const double gpus = take("gpus");
    return {cpus, gpus, bundle};
}

Amounts Amounts::of_cpus(std::int64_t steps) {
    Amounts amounts;
    amounts.cpus_ = steps;
    return amounts;
}

std::int64_t Amounts::custom(std::string_view name) const noexcept {
    for (const auto& [own, amount] : custom_) {
        if (own == name) return amount;
    }
    return 0;
}

std::int64_t& Amounts::at(const std::string& name) {
    auto place = std::lower_bound(custom_.begin(), custom_.end(), name,
                                  [](const auto& entry, const auto& n) { return entry.first < n; });
    if (place == custom_.end() || place->first != name) place = custom_.insert(place, {name, 0});
    return place->second;
}

Amounts& Amounts::operator+=(const Amounts& other) {
    cpus_ += other.cpus_;
    gpus_ += other.gpus_;
    for (const auto& [name, amount] : other.custom_) at(name) += amount;
    return *this;
}

Amounts& Amounts::operator-=(const Amounts& other) {
    cpus_ -= other.cpus_;
    gpus_ -= other.gpus_;
    check(gpus_ >= 0, "more GPUs are taken than there are");
    for (const auto& [name, amount] : other.custom_) {
        std::int64_t& own = at(name);
        own -= amount;
        check(own >= 0, "more of a custom resource is taken than there is");
    }
    std::erase_if(custom_, [](const auto& entry) { return entry.second == 0; });
    return *this;
}

void Amounts::encode(std::vector<std::byte>& bytes) const {
    append(bytes, &cpus_, sizeof cpus_);
    append(bytes, &gpus_, sizeof gpus_);
    const auto count = static_cast<std::uint32_t>(custom_.size());
    append(bytes, &count, sizeof count);
    for (const auto& [name, amount] : custom_) {
        const auto size = static_cast<std::uint32_t>(name.size());
        append(bytes, &size, sizeof size);
        append(bytes, name.data(), name.size());
        append(bytes, &amount, sizeof amount);
    }
}

void Amounts::encode(wire::RecordWriter& writer) const {
    std::vector<std::byte> bytes;
    encode(bytes);
    writer.bytes(bytes.data(), bytes.size());
}

Amounts Amounts::decode(wire::RecordReader& reader) {
    const auto sound = [](std::int64_t steps, std::int64_t low) {
        if (steps < low || steps > max) throw Error("a record holds an impossible amount");
        return steps;
    };
    Amounts amounts;
    // CPUs that are lent and in use again are below 0 for a while.
    amounts.cpus_ = sound(reader.get<std::int64_t>(), -max);
    amounts.gpus_ = sound(reader.get<std::int64_t>(), 0);
    const std::uint32_t count = reader.count(sizeof(std::uint32_t) + sizeof(std::int64_t));
    if (count > custom_max) throw Error("a record holds too many custom resources");
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::string_view name = reader.text();
        const bool ordered = amounts.custom_.empty() || amounts.custom_.back().first < name;
        if (name.empty() || name.size() > name_bytes_max || !ordered) {
            throw Error("a record holds a custom resource with an impossible name");
        }
        amounts.custom_.emplace_back(name, sound(reader.get<std::int64_t>(), 1));
    }
    return amounts;
}

bool fits(const Amounts& total, const Amounts& demand) noexcept {
    // Whoever asks for no CPUs gets none, also where more are in use than there are.
    if (demand.cpus() > 0 && demand.cpus() > total.cpus()) return false;
    if (demand.gpus() > total.gpus()) return false;
    return std::all_of(demand.custom().begin(), demand.custom().end(), [&](const auto& entry) {
        return entry.second <= total.custom(entry.first);
    });
}

/// "1 cpu", "2 cpus"; a name that a user gave stays as it is.
static std::string print_with(std::int64_t steps, std::string_view name) {
    const bool one_of_ours = steps == Amounts::one && (name == "cpus" || name == "gpus");
    if (one_of_ours) name.remove_suffix(1);
    return fmt::format("{} {}", print(steps), name);
}

std::string describe(const Amounts& amounts) {
    std::vector<std::string> parts;
    if (amounts.cpus() != 0) parts.push_back(print_with(amounts.cpus(), "cpus"));
    if (amounts.gpus() != 0) parts.push_back(print_with(amounts.gpus(), "gpus"));
    for (const auto& [name, steps] : amounts.custom()) parts.push_back(print(steps) + " " + name);
    return parts.empty() ? "nothing" : join(parts);
}

std::optional<std::string> infeasible(const Amounts& demand, std::span<const Amounts> totals,
                                      std::span<const Rank> among) {
    std::vector<Rank> ranks(among.begin(), among.end());
    if (among.empty()) {
        for (std::size_t i = 0; i < totals.size(); ++i) ranks.push_back(static_cast<Rank>(i));
    }
    std::vector<std::string> missing;
    const auto look = [&](std::string_view name, std::int64_t asked, auto&& of) {
        std::int64_t most = 0;
        for (const Rank rank : ranks) most = std::max(most, of(totals[index(rank)]));
        if (asked <= most) return;
        missing.push_back(most == 0 ? fmt::format("there are no {}", name)
                                    : fmt::format("at most {} {} on a rank", print_with(most, name),
                                                  most == Amounts::one ? "is" : "are"));
    };
    for (const Rank rank : ranks) {
        if (fits(totals[index(rank)], demand)) return std::nullopt;
    }
    std::string who = "no rank of this job has";
    if (!among.empty() && among.size() < totals.size()) {
        who = "none of the ranks it may run on has";
        if (among.size() == 1) who = fmt::format("rank {} has not", index(among.front()));
    }
    look("cpus", demand.cpus(), [](const Amounts& a) { return a.cpus(); });
    look("gpus", demand.gpus(), [](const Amounts& a) { return a.gpus(); });
    for (const auto& entry : demand.custom()) {
        look(entry.first, entry.second, [&](const Amounts& a) { return a.custom(entry.first); });
    }
    if (missing.empty()) {
        constexpr std::size_t shown_max = 4;
        for (const Rank rank : std::span(ranks).first(std::min(ranks.size(), shown_max))) {
            missing.push_back(
                fmt::format("rank {} has {}", index(rank), describe(totals[index(rank)])));
        }
        if (ranks.size() > shown_max) missing.emplace_back("so on");
    }
    return fmt::format("{} {} at once: {}", who, describe(demand), join(missing));
}

// ---- Ledger ----

namespace {

std::size_t gpus_needed(const Amounts& total) {
    return static_cast<std::size_t>((total.gpus() + Amounts::one - 1) / Amounts::one);
}

std::vector<unsigned> first_gpus(const Amounts& total) {
    std::vector<unsigned> numbers(gpus_needed(total));
    std::iota(numbers.begin(), numbers.end(), 0U);
    return numbers;
}

}  // namespace

Ledger::Ledger(Amounts total) : Ledger(total, first_gpus(total)) {}

Ledger::Ledger(Amounts total, std::vector<unsigned> gpus)
    : total_(std::move(total)), free_(total_) {
    check(gpus.size() == gpus_needed(total_), "a ledger has a number for each GPU");
    std::int64_t left = total_.gpus();
    for (const unsigned number : gpus) {
        const std::int64_t part = std::min(left, Amounts::one);
        gpus_.push_back({number, part, part});
        left -= part;
    }
}

std::optional<std::vector<unsigned>> Ledger::choose_gpus(std::int64_t demand) const {
    std::vector<unsigned> chosen;
    if (demand == 0) return chosen;
    if (demand < Amounts::one) {
        const Gpu* best = nullptr;
        for (const Gpu& gpu : gpus_) {
            if (gpu.free >= demand && (best == nullptr || gpu.free < best->free)) best = &gpu;
        }
        if (best == nullptr) return std::nullopt;
        chosen.push_back(best->number);
        return chosen;
    }
    const auto count = static_cast<std::size_t>(demand / Amounts::one);
    for (const Gpu& gpu : gpus_) {
        if (gpu.free == Amounts::one && chosen.size() < count) chosen.push_back(gpu.number);
    }
    if (chosen.size() < count) return std::nullopt;
    return chosen;
}

void Ledger::change_gpus(std::int64_t demand, std::span<const unsigned> numbers,
                         std::int64_t sign) {
    const std::int64_t each = std::min(demand, Amounts::one);
    for (const unsigned number : numbers) {
        const auto gpu = std::find_if(gpus_.begin(), gpus_.end(),
                                      [&](const Gpu& g) { return g.number == number; });
        check(gpu != gpus_.end(), "a GPU goes back to the ledger it came from");
        gpu->free += sign * each;
        check(gpu->free >= 0 && gpu->free <= gpu->total, "a GPU is given back once");
    }
}

bool Ledger::has(const Amounts& demand) const {
    return fits(free_, demand) && choose_gpus(demand.gpus()).has_value();
}

std::optional<std::vector<unsigned>> Ledger::try_acquire(const Amounts& demand) {
    if (!fits(free_, demand)) return std::nullopt;
    std::optional<std::vector<unsigned>> gpus = choose_gpus(demand.gpus());
    if (!gpus) return std::nullopt;
    free_ -= demand;
    change_gpus(demand.gpus(), *gpus, -1);
    return gpus;
}

void Ledger::release(const Amounts& demand, std::span<const unsigned> gpus) {
    free_ += demand;
    change_gpus(demand.gpus(), gpus, 1);
    check(fits(total_, free_), "resources are given back once");
}

void Ledger::lend_cpus(const Amounts& demand) {
    free_ += Amounts::of_cpus(demand.cpus());
    check(free_.cpus() <= total_.cpus(), "CPUs are lent once");
}

void Ledger::take_back_cpus(const Amounts& demand) { free_ -= Amounts::of_cpus(demand.cpus()); }

}  // namespace mobula::scheduler
