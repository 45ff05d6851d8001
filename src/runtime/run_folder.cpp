// SPDX-License-Identifier: Apache-2.0
#include "runtime/run_folder.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>

namespace mobula::runtime {

namespace {

void leave(const std::string& file) noexcept {
    const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) ::close(fd);
}

}  // namespace

RunFolder::RunFolder(const std::string& status_file) {
    const std::size_t slash = status_file.rfind('/');
    if (slash == std::string::npos) return;
    const std::string path = status_file.substr(0, slash);
    if (::access((path + "/ranks").c_str(), F_OK) == 0) path_ = path;
}

void RunFolder::note_met() const noexcept {
    if (exists()) leave(path_ + "/met");
}

void RunFolder::note_wait(unsigned rank) const noexcept {
    if (exists()) leave(path_ + "/waits." + std::to_string(rank));
}

std::string RunFolder::ending_of(Rank rank) const {
    if (!exists()) return {};
    std::ifstream file(path_ + "/ended." + std::to_string(index(rank)));
    std::string number, node, ending;
    std::getline(file, number);
    std::getline(file, node);
    std::getline(file, ending);
    return ending;
}

}  // namespace mobula::runtime
