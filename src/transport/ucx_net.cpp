// SPDX-License-Identifier: Apache-2.0
#include "transport/ucx_net.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"

namespace mobula::transport {

namespace {

// Some batches keep the link busy; more would only move the queue from our memory into UCX's.
constexpr std::uint32_t full_batches_in_flight_max = 64;
// A batch with room left waits for company while so many are under way: load makes batches large.
constexpr std::uint32_t other_batches_in_flight_max = 4;

}  // namespace

UcxNet::UcxNet(std::size_t ranks, native::UcpContext context, BatchPool& pool)
    : pool_(pool),
      context_(std::move(context)),
      worker_(context_),
      ranks_(ranks),
      links_(std::make_unique<Link[]>(ranks)) {
    for (std::size_t r = 0; r < ranks; ++r) {
        links_[r].net = this;
        links_[r].peer = Rank{static_cast<std::uint32_t>(r)};
    }
}

UcxNet::~UcxNet() { close_all(Clock::now()); }

bool UcxNet::has_rdma(const native::UcpContext& context) {
    const std::string text = context.describe();
    return text.find("rc_") != std::string::npos || text.find("dc_") != std::string::npos;
}

native::UcpContext UcxNet::make_context(native::UcpNeeds needs, bool always) {
    needs.one_sided = always;
    native::UcpContext context(needs);
    if (always || !needs.network || !has_rdma(context)) return context;
    needs.one_sided = true;
    return native::UcpContext(needs);
}

void UcxNet::meet(const Meeting& meeting) {
    check(meeting.addresses.size() == ranks_ && meeting.incarnations.size() == ranks_,
          "the meeting has an address and an incarnation for each rank");
    self_ = meeting.self;
    seal_ = {meeting.token, static_cast<std::uint32_t>(index(self_)),
             static_cast<std::uint32_t>(index(meeting.incarnations[index(self_)]))};
    addresses_ = meeting.addresses;
}

native::UcpEndpoint* UcxNet::endpoint(Rank peer) {
    Link& link = links_[index(peer)];
    if (link.broken) return nullptr;
    if (!link.endpoint) {
        try {
            link.endpoint =
                native::UcpEndpoint(worker_, addresses_[index(peer)], &on_link_error, &link);
        } catch (const native::UcpError& error) {
            note_failure(peer, fmt::format("no connection could be made: {}", error.what()));
            return nullptr;
        }
    }
    return &link.endpoint;
}

void UcxNet::post(Batch* batch) {
    Link& link = links_[index(batch->to)];
    const BatchHeader header{seal_, link.next_sequence++,
                             static_cast<std::uint16_t>(batch->records), batch->format};
    std::memcpy(batch->bytes(), &header, sizeof header);
    hand_over(link, batch, MessageId::batch);
}

void UcxNet::post(Rank to, Control control, std::span<const std::byte> tail) {
    tail = tail.first(std::min(tail.size(), control_tail_max));
    control.seal = seal_;
    Batch* batch = pool_.take_in_turn(sizeof control + tail.size());
    batch->to = to;
    std::memcpy(batch->bytes(), &control, sizeof control);
    if (!tail.empty()) std::memcpy(batch->bytes() + sizeof control, tail.data(), tail.size());
    batch->used = static_cast<std::uint32_t>(sizeof control + tail.size());
    hand_over(links_[index(to)], batch, MessageId::control);
}

void UcxNet::hand_over(Link& link, Batch* batch, MessageId id) {
    native::UcpEndpoint* to = endpoint(link.peer);
    if (to == nullptr) return pool_.give_back_in_turn(batch);
    ucp_request_param_t param{};
    param.op_attr_mask =
        UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA | UCP_OP_ATTR_FIELD_FLAGS;
    // All fit in one fragment. A rendezvous would overtake and be overtaken.
    param.flags = UCP_AM_SEND_FLAG_EAGER;
    param.cb.send = &on_sent;
    param.user_data = batch;
    batch->network = this;
    const auto request = ucp_am_send_nbx(to->get(), static_cast<unsigned>(id), nullptr, 0,
                                         batch->bytes(), batch->used, &param);
    if (request == nullptr) {
        note_carried(link.peer);
        return pool_.give_back_in_turn(batch);
    }
    if (UCS_PTR_IS_ERR(request)) {
        pool_.give_back_in_turn(batch);
        return note_failure(link.peer, std::string(native::ucp_words(UCS_PTR_STATUS(request))));
    }
    ++in_flight_;
    if (!link.closed) ++awaited_;
    ++link.in_flight;
    link.in_flight_bytes.fetch_add(batch->used, std::memory_order_relaxed);
}

void UcxNet::on_sent(void* request, ucs_status_t status, void* user) noexcept {
    auto* batch = static_cast<Batch*>(user);
    auto* net = static_cast<UcxNet*>(batch->network);
    if (status == UCS_OK) net->note_carried(batch->to);
    net->landed(batch);
    ucp_request_free(request);
}

void UcxNet::landed(Batch* batch) noexcept {
    Link& link = links_[index(batch->to)];
    note_activity();
    --in_flight_;
    if (!link.closed) --awaited_;
    --link.in_flight;
    link.in_flight_bytes.fetch_sub(batch->used, std::memory_order_relaxed);
    if (link.wants_room) {
        link.wants_room = false;
        roomy_.push_back(link.peer);
    }
    pool_.give_back_in_turn(batch);
}

bool UcxNet::may_post(Rank to, bool full) noexcept {
    Link& link = links_[index(to)];
    const bool room =
        link.in_flight < (full ? full_batches_in_flight_max : other_batches_in_flight_max);
    link.wants_room = link.wants_room || !room;
    return room;
}

void UcxNet::on_link_error(void* user, ucp_ep_h, ucs_status_t status) noexcept {
    auto* link = static_cast<Link*>(user);
    link->net->note_failure(link->peer, std::string(native::ucp_words(status)));
}

void UcxNet::note_failure(Rank peer, std::string reason) {
    Link& link = links_[index(peer)];
    if (std::exchange(link.broken, true)) return;
    failures_.push_back({peer, std::move(reason)});
}

void UcxNet::close(Rank peer) noexcept {
    Link& link = links_[index(peer)];
    link.broken = true;
    if (!std::exchange(link.closed, true)) awaited_ -= link.in_flight;
    if (!link.carried) return;
    forced_ = forced_ || link.endpoint;
    if (const auto request = link.endpoint.close(false)) closing_.push_back(request);
}

void UcxNet::close_all(Time deadline) noexcept {
    const bool flush = Clock::now() < deadline;
    for (std::size_t r = 0; r < ranks_; ++r) {
        const bool gently = flush && !links_[r].broken;
        links_[r].broken = true;
        if (const auto request = links_[r].endpoint.close(gently)) closing_.push_back(request);
    }
    const Time latest = flush ? deadline : Clock::now() + std::chrono::seconds(1);
    for (const auto request : closing_) {
        while (ucp_request_check_status(request) == UCS_INPROGRESS && Clock::now() < latest) {
            progress();
        }
        ucp_request_free(request);
    }
    closing_.clear();
}

}  // namespace mobula::transport
