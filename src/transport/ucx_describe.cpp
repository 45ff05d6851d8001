// SPDX-License-Identifier: Apache-2.0
// What the network reports of itself.
#include <sched.h>

#include <sstream>

#include <fmt/format.h>

#include "transport/ucx_transport.hpp"

namespace mobula::transport {

namespace {

constexpr std::string_view name_of(Verb verb) noexcept {
    switch (verb) {
        case Verb::map: return "map";
        case Verb::get: return "get";
        case Verb::push: return "push";
    }
    return "?";
}

std::string_view name_of(Membership::State state) noexcept {
    switch (state) {
        case Membership::State::joining: return "joining";
        case Membership::State::alive: return "alive";
        case Membership::State::left: return "left";
        case Membership::State::dead: return "dead";
    }
    return "?";
}

/// The lines of UCX's report that tell which device a lane uses and what for.
void append_lanes(std::vector<std::string>& lines, const std::string& report, Rank peer) {
    std::istringstream text(report);
    for (std::string line; std::getline(text, line);) {
        const auto lane = line.find("lane[");
        if (lane != std::string::npos) {
            lines.push_back(fmt::format("rank {} {}", index(peer), line.substr(lane)));
        }
    }
}

}  // namespace

std::vector<std::string> UcxTransportImpl::describe() {
    while (!turn_.enter()) sched_yield();
    std::vector<std::string> lines{fmt::format("UCX {}", native::ucx_version())};
    const bool listens = net_.context().describe().find("tcp") != std::string::npos;
    lines.emplace_back(listens ? "it listens for connections: only trusted users may reach this "
                                 "node's ports (README, Trust)"
                               : "it listens for no connections");
    if (const auto refused = sums_.messages_refused.get(); refused != 0) {
        lines.push_back(fmt::format("{} messages without this job's token were dropped", refused));
    }
    for (std::size_t r = 0; r < ranks_; ++r) {
        const Rank peer{static_cast<std::uint32_t>(r)};
        if (peer == self_ || !membership_) continue;
        lines.push_back(fmt::format("rank {} is {}, large objects come by {}", r,
                                    name_of(membership_->state(peer)), name_of(verbs_[r])));
        if (net_.is_connected(peer)) {
            append_lanes(lines, net_.endpoint(peer)->describe(), peer);
        }
    }
    turn_.leave([this] { work(); });
    return lines;
}

}  // namespace mobula::transport
