// SPDX-License-Identifier: Apache-2.0
#include "runtime/run_folder.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "base/fixed_text.hpp"

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
    if (::access((path + "/ranks").c_str(), F_OK) != 0) return;
    path_ = path;
    word_ = path + "/said";
    status_ = status_file;
    part_ = status_file + ".last";
    reserve_ = path + "/reserve";
}

void RunFolder::note_met() const noexcept {
    if (exists()) leave(path_ + "/met");
}

void RunFolder::note_wait(unsigned rank) const noexcept {
    if (exists()) leave(path_ + "/waits." + std::to_string(rank));
}

std::optional<RunFolder::End> RunFolder::read_end(const std::string& name) const {
    std::ifstream file(path_ + "/" + name);
    std::string rank, node, ending;
    if (!std::getline(file, rank) || !std::getline(file, node) || !std::getline(file, ending)) {
        return {};
    }
    const auto number = static_cast<std::uint32_t>(std::strtoul(rank.c_str(), nullptr, 10));
    return End{Rank{number}, ending};
}

std::string RunFolder::ending_of(Rank rank) const {
    if (!exists()) return {};
    const auto end = read_end("ended." + std::to_string(index(rank)));
    return end ? end->ending : "";
}

std::optional<RunFolder::End> RunFolder::first_end() const {
    return exists() ? read_end("first_end") : std::nullopt;
}

bool RunFolder::somebody_ended_early() const {
    if (!exists() || ::access((path_ + "/met").c_str(), F_OK) == 0) return false;
    constexpr int looks = 50, between_looks_ms = 20;
    for (int n = 0; n < looks; ++n) {
        if (first_end()) return true;
        ::poll(nullptr, 0, between_looks_ms);
    }
    return false;
}

bool RunFolder::take_word() const noexcept {
    if (!exists()) return true;
    const int fd = ::open(word_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return errno != EEXIST;
    ::close(fd);
    return true;
}

void RunFolder::make_room() const noexcept {
    if (!exists()) return;
    [[maybe_unused]] const int done = ::truncate(reserve_.c_str(), 0);
}

void RunFolder::write_status(int code, std::string_view reason) const noexcept {
    make_room();
    const int fd = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return;
    FixedText text;
    text.add("exit ").add(static_cast<std::uint64_t>(code)).add("\nreason ");
    text.add(reason.substr(0, FixedText::bytes_max - 24)).add("\n");
    const std::string_view all = text.view();
    const bool whole = ::write(fd, all.data(), all.size()) == static_cast<ssize_t>(all.size());
    ::close(fd);
    if (whole) ::rename(part_.c_str(), status_.c_str());
}

}  // namespace mobula::runtime
