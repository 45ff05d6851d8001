// SPDX-License-Identifier: Apache-2.0
// Goal: on one node a job opens nothing to others: no port of the engine's, and no memory that
// anybody but the user may open. Method: ranks that have spoken to each other look at what they
// have open themselves. Run with the MPI library kept from listening. Argument: `shut`, or `open`,
// where UCX was told to use TCP: then the same look must find its ports.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "transport/rank_pair.hpp"

namespace {

using namespace mobula;
using namespace mobula::transport;
using namespace mobula::transport::testing;

int failures = 0;

void expect(bool holds, const std::string& what) {
    if (holds) return;
    ++failures;
    std::fprintf(stderr, "FAILED: %s\n", what.c_str());
}

/// What the descriptors of this process are, as /proc names them.
std::vector<std::pair<std::filesystem::path, std::string>> open_files() {
    std::vector<std::pair<std::filesystem::path, std::string>> files;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;  // the one that reads the folder
        const auto target = std::filesystem::read_symlink(entry.path(), gone);
        if (!gone) files.emplace_back(entry.path(), target.string());
    }
    return files;
}

std::size_t listening_sockets() {
    std::set<std::string> listening;
    for (const char* table : {"/proc/self/net/tcp", "/proc/self/net/tcp6"}) {
        std::ifstream rows(table);
        std::string row;
        std::getline(rows, row);
        while (std::getline(rows, row)) {
            std::istringstream words(row);
            std::string word, state, inode;
            for (int n = 0; n < 10 && words >> word; ++n) {
                if (n == 3) state = word;
                if (n == 9) inode = word;
            }
            if (state == "0A") listening.insert("socket:[" + inode + "]");
        }
    }
    std::size_t own = 0;
    for (const auto& [path, target] : open_files()) own += listening.count(target);
    return own;
}

/// Segments of System V that this process has made and others may open.
std::size_t open_segments() {
    std::ifstream rows("/proc/sysvipc/shm");
    std::string row;
    std::getline(rows, row);
    std::size_t open = 0;
    while (std::getline(rows, row)) {
        std::istringstream words(row);
        std::string key, id, mode, size;
        pid_t creator = 0;
        words >> key >> id >> mode >> size >> creator;
        if (creator == ::getpid() && (std::stoul(mode, nullptr, 8) & 077U) != 0) ++open;
    }
    return open;
}

/// How many files in shared memory there are; each must be the user's alone.
std::size_t shared_files() {
    std::size_t files = 0;
    for (const auto& [path, target] : open_files()) {
        struct stat status {};
        if (!target.starts_with("/dev/shm/ucx") || ::stat(path.c_str(), &status) != 0) continue;
        ++files;
        expect((status.st_mode & 077U) == 0, target + " can be opened by others");
    }
    return files;
}

}  // namespace

int main(int argc, char** argv) {
    const bool shut = argc > 1 && std::string(argv[1]) == "shut";
    auto cluster = meet(&argc, &argv, {}, std::size_t{1} << 20U, {});
    Recorder recorder;
    cluster->start(recorder);
    Transport& transport = cluster->transport();
    expect(meet_again(transport, recorder, Pace::sleep), "all are ready");
    const std::size_t ports = listening_sockets();
    expect(shut ? ports == 0 : ports > 0, std::to_string(ports) + " ports are open");
    expect(open_segments() == 0, "segments can be opened by others");
    const std::size_t files = shared_files();
    expect(!shut || files > 0, "the ranks share no memory over UCX");
    expect(meet_again(transport, recorder, Pace::sleep), "all have looked");
    expect(cluster->finish(Clock::now() + std::chrono::seconds(10)), "the end is clean");
    return failures == 0 ? 0 : 1;
}
