// SPDX-License-Identifier: Apache-2.0
#include "runtime/options.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>
#include <type_traits>
#include <variant>

#include <fmt/format.h>

#include <mobula/error.hpp>

#include "runtime/quantity.hpp"

namespace mobula::runtime {
namespace {

using Member = std::variant<unsigned Options::*, std::size_t Options::*, std::int64_t Options::*,
                            double Options::*, bool Options::*, std::string Options::*,
                            log::Level Options::*, Resources Options::*>;

enum class Form { number, bytes, microseconds, milliseconds, seconds, yes_no, path, word, amounts };

/// One setting. `low` and `high` bound the number; the value `automatic_value` may also be written
/// "auto", and `automatic` says what it means.
struct Row {
    std::string_view name;
    Member member;
    Form form;
    double low, high;
    std::string_view automatic;
    double automatic_value;
    std::string_view words;  ///< what is allowed, of a word
    std::string_view help;
};

constexpr double day_s = 86400;

constexpr Row number(std::string_view name, Member member, Form form, double low, double high,
                     std::string_view help) {
    return {name, member, form, low, high, {}, 0, {}, help};
}
constexpr Row automatic(std::string_view name, Member member, Form form, double value, double high,
                        std::string_view meaning, std::string_view help) {
    return {name, member, form, std::max(value, 0.0), high, meaning, value, {}, help};
}
constexpr Row other(std::string_view name, Member member, Form form, std::string_view words,
                    std::string_view help) {
    return {name, member, form, 0, 0, {}, 0, words, help};
}

constexpr std::array rows{
    Row{"workers",
        &Options::workers,
        Form::number,
        1,
        4096,
        "from the CPU binding",
        0,
        {},
        "threads of this rank that run tasks"},
    other("driver_alone", &Options::driver_alone, Form::yes_no, "yes or no",
          "one more thread on rank 0, which runs the driver and no tasks, so that a driver that "
          "waits goes on as soon as it can"),
    automatic("gpus", &Options::gpus, Form::number, -1, 1024, "from CUDA_VISIBLE_DEVICES or Slurm",
              "GPUs of this rank"),
    other("resources", &Options::resources, Form::amounts,
          "names with amounts, as accel=1,disk=2.5", "resources of this rank beyond CPUs and GPUs"),
    number("stack_bytes", &Options::stack_bytes, Form::bytes, 64 * kib, 64 * gib,
           "stack of the driver and of every task; a task that needs more ends the job with a "
           "sentence. Only touched pages take memory"),
    number("suspended_max", &Options::suspended_max, Form::number, 1, 1e7,
           "tasks that may wait at once on one worker; a wait beyond that fails"),
    automatic("spin_us", &Options::spin_us, Form::microseconds, -1, 1e6,
              "by measurement, 0 where ranks share CPUs",
              "time for which an idle worker looks for work before it sleeps"),
    other("openmp_follows", &Options::openmp_follows, Form::yes_no, "yes or no",
          "a task begins with as many OpenMP threads as it has CPUs; no: as OMP_NUM_THREADS says"),
    automatic("arena_bytes", &Options::arena_bytes, Form::bytes, 0, 64 * tib,
              "30 % of the memory, divided by the ranks of the node",
              "memory for large objects; when it is full, put() throws StoreFull"),
    number("inline_bytes", &Options::inline_bytes, Form::bytes, 0, Options::inline_bytes_max,
           "the largest value that travels inside a message; larger ones are fetched"),
    number("locality_bytes", &Options::locality_bytes, Form::bytes, 0, tib,
           "a task with at least so many bytes of inputs on one rank goes there"),
    number("large_value_bytes", &Options::large_value_bytes, Form::bytes, 0, tib,
           "arguments by value of at least so many bytes are compared: the engine warns once of a "
           "function that gets the same ones again and again; 0: never"),
    number("window_us", &Options::window_us, Form::microseconds, 0, 1e6,
           "run time of the tasks that are sent ahead to another rank; more hides delays, less "
           "balances better"),
    number("backlog_bytes", &Options::backlog_bytes, Form::bytes, mib, tib,
           "bytes that may wait in memory for one other rank; beyond them submission slows down"),
    number("pending_max", &Options::pending_max, Form::number, 1000, 1e12,
           "tasks of one rank that are submitted and not over; beyond them submission slows down"),
    number("heartbeat_ms", &Options::heartbeat_ms, Form::milliseconds, 10, 60000,
           "time between signs of life"),
    number("dead_after_ms", &Options::dead_after_ms, Form::milliseconds, 100, 3.6e6,
           "silence after which a rank is declared dead; at least two heartbeats. When not set, "
           "longer on nodes with more than two workers per CPU"),
    other("verb", &Options::verb, Form::word, "map, get or push",
          "how large objects move between ranks, for tests; empty: the best way per rank"),
    other("log_level", &Options::log_level, Form::word, "debug, info, warning, error or off",
          "messages below this level are not written"),
    number(
        "stall_seconds", &Options::stall_seconds, Form::seconds, 0, day_s,
        "time without progress after which the engine prints which tasks wait for what; 0: never"),
    other("stall_abort", &Options::stall_abort, Form::yes_no, "yes or no",
          "abort the job after printing it"),
    other("forward_output", &Options::forward_output, Form::yes_no, "yes or no",
          "bring lines that tasks print to stdout on other ranks to the driver's terminal, with "
          "the rank in front; stderr stays where the launcher puts it"),
    other("status_file", &Options::status_file, Form::path, "a path",
          "a file to which the driver's rank writes \"exit <code>\" at the end; empty: none"),
    number("start_within_s", &Options::start_within_s, Form::seconds, 0, day_s,
           "time that a rank waits at the start for the others to come; 0: for ever"),
    number("exit_wait_s", &Options::exit_wait_s, Form::seconds, 0, 3600,
           "time that ranks give each other to end; tasks still running after it are abandoned"),
};

/// Variables of the launcher and of the tests, which reach the ranks by the way; not for us.
constexpr std::array<std::string_view, 2> foreign_variables{"MOBULA_BUILD_DIR",
                                                            "MOBULA_CLUSTER_DIR"};
constexpr std::array<std::string_view, 5> level_words{"debug", "info", "warning", "error", "off"};
constexpr std::array<std::string_view, 4> verb_words{"", "map", "get", "push"};

// ---- names ----

/// What was given, on one line whatever is in it.
std::string on_one_line(std::string_view given) {
    std::string text;
    for (const char c : given) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '\n') {
            text += "\\n";
        } else if (byte < 0x20 || byte == 0x7f) {
            text += fmt::format("\\x{:02x}", byte);
        } else {
            text += c;
        }
    }
    return text;
}

std::string with(std::string_view prefix, std::string_view name, char from, char to, bool upper) {
    std::string text(prefix);
    for (const char c : name) {
        const char replaced = c == from ? to : c;
        const bool raise = upper && replaced >= 'a' && replaced <= 'z';
        text += raise ? static_cast<char>(replaced - 'a' + 'A') : replaced;
    }
    return text;
}
std::string variable_of(const Row& row) { return with("MOBULA_", row.name, '_', '_', true); }
std::string flag_of(const Row& row) { return with("--mobula-", row.name, '_', '-', false); }

const Row* find(std::string_view name, std::string (*spell)(const Row&)) {
    const auto found =
        std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return spell(row) == name; });
    return found == rows.end() ? nullptr : &*found;
}

/// `prefix` is what all names begin with; it counts as no likeness.
[[noreturn]] void throw_unknown(std::string_view what, std::string_view prefix,
                                std::string_view name, std::string (*spell)(const Row&)) {
    std::vector<std::string> spelled;
    for (const Row& row : rows) spelled.push_back(spell(row).substr(prefix.size()));
    spelled.emplace_back("help");
    const std::vector<std::string_view> names(spelled.begin(), spelled.end());
    const std::string_view near = nearest_name(name.substr(prefix.size()), names);
    const std::string advice =
        near.empty() ? "--mobula-help lists all" : fmt::format("did you mean {}{}?", prefix, near);
    throw BadInput(fmt::format("unknown {} {}; {}", what, on_one_line(name), advice));
}

// ---- printing ----

std::string print_amounts(const Resources& resources) {
    std::string text;
    for (const auto& [name, amount] : resources) {
        text += fmt::format("{}{}={}", text.empty() ? "" : ",", name, print_number(amount));
    }
    return text.empty() ? "none" : text;
}

std::string print_quantity(Form form, double value) {
    if (form == Form::bytes) return print_bytes(value);
    const std::string number = print_number(value);
    switch (form) {
        case Form::microseconds: return number + " us";
        case Form::milliseconds: return number + " ms";
        case Form::seconds: return number + " s";
        default: return number;
    }
}

std::string print(const Row& row, const Options& options) {
    return std::visit(
        [&](auto member) -> std::string {
            const auto& value = options.*member;
            using T = std::remove_cvref_t<decltype(value)>;
            if constexpr (std::is_same_v<T, bool>) {
                return value ? "yes" : "no";
            } else if constexpr (std::is_same_v<T, std::string>) {
                return value.empty() ? "none" : value;
            } else if constexpr (std::is_same_v<T, log::Level>) {
                return std::string(level_words[static_cast<std::size_t>(value)]);
            } else if constexpr (std::is_same_v<T, Resources>) {
                return print_amounts(value);
            } else {
                const auto number = static_cast<double>(value);
                if (!row.automatic.empty() && number == row.automatic_value) return "auto";
                return print_quantity(row.form, number);
            }
        },
        row.member);
}

std::string_view kind_of(Form form) {
    switch (form) {
        case Form::number: return "a whole number";
        case Form::bytes: return "a size in bytes, KiB, MiB or GiB";
        case Form::microseconds: return "a time in whole microseconds, or with us, ms or s";
        case Form::milliseconds: return "a time in whole milliseconds, or with ms or s";
        case Form::seconds: return "a time in seconds, or with ms, s or min";
        default: return "";
    }
}

std::string allowed(const Row& row) {
    if (!row.words.empty()) return std::string(row.words);
    std::string text =
        fmt::format("{} from {} to {}", kind_of(row.form), print_quantity(row.form, row.low),
                    print_quantity(row.form, row.high));
    if (!row.automatic.empty()) text += fmt::format(", or auto: {}", row.automatic);
    return text;
}

// ---- reading ----

/// A value that was given, and as what, for the sentence when it is bad.
struct Given {
    std::string name, value;

    [[noreturn]] void refuse(const Row& row) const {
        throw BadInput(fmt::format("{}={} is not allowed; it must be {}", name, on_one_line(value),
                                   allowed(row)));
    }
};

double read_number(const Row& row, const Given& given) {
    if (given.value == "auto" && !row.automatic.empty()) return row.automatic_value;
    std::optional<double> value;
    switch (row.form) {
        case Form::bytes: value = parse_bytes(given.value); break;
        case Form::microseconds: value = parse_time(given.value, 1e-6); break;
        case Form::milliseconds: value = parse_time(given.value, 1e-3); break;
        case Form::seconds: value = parse_time(given.value, 1); break;
        default: value = parse_number(given.value); break;
    }
    const bool whole = value && (row.form == Form::seconds || *value == std::floor(*value));
    if (!whole || *value < row.low || *value > row.high) given.refuse(row);
    return *value;
}

bool read_yes_no(const Row& row, const Given& given) {
    for (const std::string_view yes : {"yes", "true", "on", "1"}) {
        if (given.value == yes) return true;
    }
    for (const std::string_view no : {"no", "false", "off", "0"}) {
        if (given.value == no) return false;
    }
    given.refuse(row);
}

/// Amounts finer than the scheduler counts are refused there, with all else that it knows of them.
Resources read_amounts(const Row& row, const Given& given) {
    Resources resources;
    std::string_view left = given.value;
    while (!left.empty()) {
        const std::string_view item = left.substr(0, left.find(','));
        left.remove_prefix(std::min(left.size(), item.size() + 1));
        const std::size_t sign = item.find('=');
        if (sign == std::string_view::npos || sign == 0) given.refuse(row);
        const std::string name(item.substr(0, sign));
        const std::optional<double> amount = parse_number(item.substr(sign + 1));
        if (!amount || *amount < 0) given.refuse(row);
        if (name == "cpus" || name == "gpus") {
            throw BadInput(fmt::format("{}={} is not allowed; {} are set by MOBULA_{}", given.name,
                                       on_one_line(given.value), name,
                                       name == "cpus" ? "WORKERS" : "GPUS"));
        }
        if (!resources.emplace(name, *amount).second) {
            throw BadInput(fmt::format("{}={} is not allowed; it gives {} twice", given.name,
                                       on_one_line(given.value), on_one_line(name)));
        }
    }
    return resources;
}

void set(Options& options, const Row& row, const Given& given) {
    std::visit(
        [&](auto member) {
            auto& value = options.*member;
            using T = std::remove_cvref_t<decltype(value)>;
            if constexpr (std::is_same_v<T, bool>) {
                value = read_yes_no(row, given);
            } else if constexpr (std::is_same_v<T, std::string>) {
                const bool known = row.form != Form::word ||
                                   std::find(verb_words.begin(), verb_words.end(), given.value) !=
                                       verb_words.end();
                if (!known) given.refuse(row);
                value = given.value;
            } else if constexpr (std::is_same_v<T, log::Level>) {
                const auto word = std::find(level_words.begin(), level_words.end(), given.value);
                if (word == level_words.end()) given.refuse(row);
                value = static_cast<log::Level>(word - level_words.begin());
            } else if constexpr (std::is_same_v<T, Resources>) {
                value = read_amounts(row, given);
            } else {
                value = static_cast<T>(read_number(row, given));
            }
        },
        row.member);
}

void read_variable(Options& options, std::string_view line) {
    if (!line.starts_with("MOBULA_")) return;
    const std::string_view name = line.substr(0, line.find('='));
    const bool foreign = std::find(foreign_variables.begin(), foreign_variables.end(), name) !=
                         foreign_variables.end();
    if (foreign) return;
    const Row* row = find(name, variable_of);
    if (row == nullptr) throw_unknown("environment variable", "MOBULA_", name, variable_of);
    const std::string_view value = line.substr(std::min(line.size(), name.size() + 1));
    set(options, *row, {std::string(name), std::string(value)});
    options.origins[std::string(row->name)] = fmt::format("environment, {}", name);
}

void read_flag(Options& options, std::string_view argument) {
    const std::size_t sign = argument.find('=');
    const std::string given(argument.substr(0, sign));
    const std::string name = with("", given, '_', '-', false);
    if (name == "--mobula-help") {
        if (sign != std::string_view::npos) throw BadInput("--mobula-help takes no value");
        options.help_wanted = true;
        return;
    }
    const Row* row = find(name, flag_of);
    if (row == nullptr) throw_unknown("option", "--mobula-", given, flag_of);
    if (sign == std::string_view::npos && row->form != Form::yes_no) {
        throw BadInput(
            fmt::format("{} needs a value, as {}=...; it must be {}", given, given, allowed(*row)));
    }
    const std::string_view value =
        sign == std::string_view::npos ? std::string_view("yes") : argument.substr(sign + 1);
    set(options, *row, {given, std::string(value)});
    options.origins[std::string(row->name)] = fmt::format("command line, {}", flag_of(*row));
}

void check_together(const Options& options) {
    if (options.dead_after_ms < 2 * options.heartbeat_ms) {
        throw BadInput(fmt::format("dead_after_ms ({}) must be at least twice heartbeat_ms ({})",
                                   options.dead_after_ms, options.heartbeat_ms));
    }
}

}  // namespace

Options Options::parse(std::vector<std::string>& arguments,
                       std::span<const std::string> environment) {
    Options options;
    for (const std::string& line : environment) read_variable(options, line);
    const auto end = std::find(arguments.begin(), arguments.end(), "--");
    const auto kept = std::stable_partition(
        arguments.begin(), end,
        [](const std::string& argument) { return !argument.starts_with("--mobula-"); });
    for (auto flag = kept; flag != end; ++flag) read_flag(options, *flag);
    arguments.erase(kept, end);
    check_together(options);
    return options;
}

Options Options::read(int& argc, char** argv) {
    std::vector<std::string> environment;
    for (char** line = ::environ; line != nullptr && *line != nullptr; ++line) {
        environment.emplace_back(*line);
    }
    std::vector<std::string> arguments(argv, argv + argc);
    Options options = parse(arguments, environment);
    // The same rule once more on the pointers, which their owner may compare or free.
    const auto ours = [](const char* argument) {
        return std::string_view(argument).starts_with("--mobula-");
    };
    char** const end =
        std::find_if(argv, argv + argc, [](const char* a) { return std::string_view(a) == "--"; });
    char** const rest = std::remove_if(argv, end, ours);
    char** const last = std::move(end, argv + argc, rest);
    argc = static_cast<int>(last - argv);
    argv[argc] = nullptr;
    return options;
}

std::string Options::help() {
    std::string text =
        "Settings of the engine. Each may be given as an argument, anywhere before \"--\", or as\n"
        "an environment variable: --mobula-log-level=info is MOBULA_LOG_LEVEL=info. The argument\n"
        "wins.\n\n";
    const Options defaults;
    for (const Row& row : rows) {
        std::string usual = print(row, defaults);
        if (usual == "auto") usual = fmt::format("auto, {}", row.automatic);
        std::string range = allowed(row).substr(0, allowed(row).find(", or auto"));
        if (row.form == Form::yes_no) range += "; the argument without a value: yes";
        text += fmt::format("  {}=...\n      {}\n      {}; default: {}\n", flag_of(row), row.help,
                            range, usual);
    }
    return text + "  --mobula-help\n      print this and end\n";
}

std::string Options::effective() const {
    std::string text;
    for (const Row& row : rows) {
        const auto origin = origins.find(row.name);
        const std::string_view from =
            origin == origins.end() ? std::string_view("default") : origin->second;
        text += fmt::format("{} = {} ({})\n", row.name, print(row, *this), from);
    }
    return text;
}

}  // namespace mobula::runtime
