// SPDX-License-Identifier: Apache-2.0

/// The program `mobula`: what people ask of an installed engine, outside of their own programs.

#include <dlfcn.h>

#include <cstdio>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include <mobula/mobula.hpp>

#include "native/hdf5.hpp"
#include "runtime/describe.hpp"
#include "runtime/status.hpp"
#include "tools/report.hpp"

namespace {

/// Between how many ranks each talks to each before it tells how; beyond, each to the driver's
/// only.
constexpr unsigned all_pairs_ranks_max = 64;

int touch() { return 0; }

std::string nccl() {
    void* const library = dlopen("libnccl.so.2", RTLD_LAZY | RTLD_LOCAL);
    if (library == nullptr) return "NCCL not found (libnccl.so.2)";
    int number = 0;
    const auto version = reinterpret_cast<int (*)(int*)>(dlsym(library, "ncclGetVersion"));
    if (version == nullptr || version(&number) != 0) number = 0;
    dlclose(library);
    return "NCCL " + mobula::tools::nccl_version_text(number);
}

/// What one rank sees, once it has talked to the others, since connections are made when needed.
std::vector<std::string> facts() {
    std::vector<mobula::Ref<int>> answers;
    const unsigned others = mobula::ranks() <= all_pairs_ranks_max ? mobula::ranks() : 1;
    for (unsigned rank = 0; rank < others; ++rank) {
        answers.push_back(
            mobula::remote<touch>({.cpus = 0, .placement = mobula::Placement::on_rank(rank)}));
    }
    mobula::get(answers);
    std::vector<std::string> lines = mobula::runtime::describe();
    lines.push_back("library: " + mobula::native::hdf5_version());
    lines.push_back("library: " + nccl());
    return lines;
}

int doctor(mobula::Job& job) {
    std::vector<mobula::Ref<std::vector<std::string>>> refs;
    for (unsigned rank = 0; rank < job.ranks; ++rank) {
        refs.push_back(
            mobula::remote<facts>({.cpus = 0, .placement = mobula::Placement::on_rank(rank)}));
    }
    std::fputs(mobula::tools::report(mobula::get(refs)).c_str(), stdout);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Looks after an installed engine.", "mobula");
    app.set_version_flag("--version", "mobula " MOBULA_VERSION);
    app.require_subcommand(1);
    app.footer(
        "Start it as any program of the engine, on as many ranks as you like:\n"
        "  slurm/run -n 2 mobula doctor");
    app.add_subcommand("doctor",
                       "print what each rank sees: node, CPUs, GPUs, how it reaches the others, "
                       "libraries, limits and settings")
        ->footer("The engine's own settings are taken too; --mobula-help lists them.");
    std::vector<std::string> own;
    bool engine_help = false;
    for (int i = argc - 1; i > 0; --i) {
        const std::string_view argument = argv[i];
        engine_help = engine_help || argument == "--mobula-help";
        if (!argument.starts_with("--mobula-")) own.emplace_back(argument);
    }
    if (!engine_help) {
        // The first argument, before the parser takes all of them away.
        const std::string given = own.empty() ? std::string() : own.back();
        if (!given.empty() && given.front() != '-' && given != "doctor") {
            return mobula::runtime::refuse_to_start("there is no subcommand " + given +
                                                    "; there is `mobula doctor`");
        }
        try {
            app.parse(own);
        } catch (const CLI::ParseError& error) {
            if (error.get_exit_code() != 0) {
                return mobula::runtime::refuse_to_start(
                    std::string(error.what()) +
                    "; say `mobula doctor`, or `mobula --help` for what it can do");
            }
            std::ostringstream text;  // of --help or --version
            app.exit(error, text, text);
            return mobula::runtime::answer_at_start(text.str());
        }
    }
    return mobula::run(argc, argv, doctor);
}
