// SPDX-License-Identifier: Apache-2.0
#include "transport/ucx_bulk.hpp"

#include <mutex>
#include <utility>

namespace mobula::transport {

UcxBulk::UcxBulk(const Settings& settings, UcxNet& net) : settings_(settings), net_(net) {}
UcxBulk::~UcxBulk() = default;
void UcxBulk::start(ArenaView arena, std::size_t) { arena_ = arena; }

void UcxBulk::request(Rank from, Verb verb, std::uint64_t offset, std::span<std::byte> into,
                      Fetch& fetch) {
    const std::lock_guard guard(requests_lock_);
    requests_.push_back({from, verb, offset, into, &fetch});
    requested_.store(true, std::memory_order_release);
}

std::vector<UcxBulk::Request> UcxBulk::swap_requests() {
    const std::lock_guard guard(requests_lock_);
    requested_.store(false, std::memory_order_relaxed);
    return std::exchange(requests_, {});
}

void UcxBulk::begin(const Request& request, bool) {
    outcomes_.push_back({request.fetch, "transfers are not built yet"});
}

void UcxBulk::receive(Rank, const Control&, std::span<const std::byte>) {}
void UcxBulk::pump() { (void)net_; }
void UcxBulk::lose(Rank, std::string_view) {}

void UcxBulk::report() {
    for (const Outcome& outcome : std::exchange(outcomes_, {})) {
        outcome.reason.empty() ? outcome.fetch->done() : outcome.fetch->failed(outcome.reason);
    }
}

ucs_status_t UcxBulk::receive_chunk(const ChunkHeader&, void*, std::size_t,
                                    const ucp_am_recv_param_t&) {
    return UCS_OK;
}

}  // namespace mobula::transport
