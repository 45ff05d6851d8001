// SPDX-License-Identifier: Apache-2.0
#include "transport/ucx_bulk.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "base/log.hpp"

namespace mobula::transport {

namespace {

// Above this a chunk is worth a rendezvous, which spares the receiver a copy.
constexpr std::size_t eager_bytes_max = 16384;

// Chunks of all transfers together: enough for any link, few enough to stay fair.
constexpr std::size_t chunks_out_max = 64;

// What a peer may have asked for and not got; more is a flood.
constexpr std::size_t outgoing_max = 65536;
constexpr std::uint32_t window_max = 64;

// After a loss UCX completes what it had begun; should it not, nobody waits longer than this.
constexpr auto wait_for_landing = std::chrono::seconds(2);

/// Where chunks of a transfer may begin.
constexpr std::size_t grain_of(std::size_t chunk_bytes) noexcept {
    return std::min(chunk_bytes, Flow::grain_bytes);
}

}  // namespace

UcxBulk::UcxBulk(const Settings& settings, UcxNet& net) : settings_(settings), net_(net) {}

UcxBulk::~UcxBulk() = default;

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

void UcxBulk::begin(const Request& request, bool alive) {
    if (!alive) {
        outcomes_.push_back(
            {request.fetch, fmt::format("rank {} is gone", index(request.from)), true});
        return;
    }
    if (request.into.empty()) return outcomes_.push_back({request.fetch, {}});
    auto transfer = std::make_unique<Incoming>();
    transfer->bulk = this;
    transfer->id = next_id_++;
    transfer->request = request;
    if (request.verb == Verb::get) {
        ++reads_;
    } else {
        const std::size_t grain = grain_of(settings_.chunk_bytes);
        transfer->seen.resize((request.into.size() + grain - 1) / grain);
        net_.post(
            request.from,
            Control{.kind = ControlKind::pull,
                    .id = transfer->id,
                    .offset = request.offset,
                    .bytes = request.into.size(),
                    .chunk_bytes = static_cast<std::uint32_t>(settings_.chunk_bytes),
                    .chunks_in_flight = static_cast<std::uint32_t>(settings_.chunks_in_flight)});
    }
    incoming_.emplace(transfer->id, std::move(transfer));
}

void UcxBulk::receive(Rank from, const Control& control, std::span<const std::byte> tail) {
    switch (control.kind) {
        case ControlKind::pull: return serve_pull(from, control);
        case ControlKind::arrived:
            // One of a transfer that was forgotten may come late.
            if (Flow* const flow = flows_.find(from)) {
                (void)flow->arrived(control.id, control.offset, Clock::now());
            }
            return;
        case ControlKind::want_key: return serve_key(from, control.id);
        case ControlKind::key: return learn_key(from, control, tail);
        case ControlKind::refused:
            if (Incoming* transfer = find_incoming(from, control.id)) {
                fail(*transfer,
                     std::string(reinterpret_cast<const char*>(tail.data()), tail.size()), false);
            }
            return;
        default: return;
    }
}

void UcxBulk::do_pump() {
    for (bool moved = true; moved && chunks_out_ < chunks_out_max;) {
        moved = false;
        // One chunk each in turn, so that a small transfer is not behind a large one.
        for (auto of = outgoing_.begin(); of != outgoing_.end();) {
            const auto at = of++;
            if (at->lost || at->next == at->bytes.size() || at->in_flight >= at->window ||
                flows_[at->to].allowance() == 0) {
                continue;
            }
            send_chunk(at);
            moved = true;
        }
    }
    for (auto at = incoming_.begin(); at != incoming_.end();) {
        Incoming& transfer = *(at++)->second;
        if (transfer.failure) {
            end_if_over(transfer);
        } else if (reads_ > 0 && transfer.request.verb == Verb::get) {
            read_more(transfer);
        }
    }
}

void UcxBulk::lose(Rank peer, std::string_view reason) {
    if (Flow* const flow = flows_.find(peer)) flow->clear();
    for (auto of = outgoing_.begin(); of != outgoing_.end();) {
        const auto at = of++;
        if (at->to != peer) continue;
        forget(*at);
        if (at->in_flight == 0) outgoing_.erase(at);
    }
    for (auto at = incoming_.begin(); at != incoming_.end();) {
        Incoming& transfer = *(at++)->second;
        if (transfer.request.from != peer) continue;
        fail(transfer, std::string(reason), true);
    }
}

void UcxBulk::report() {
    for (const Outcome& outcome : std::exchange(outcomes_, {})) {
        if (outcome.reason.empty()) {
            outcome.fetch->done();
        } else if (outcome.peer_gone) {
            outcome.fetch->lost(outcome.reason);
        } else {
            outcome.fetch->failed(outcome.reason);
        }
    }
}

// ---- the owner's side of push

void UcxBulk::serve_pull(Rank from, const Control& control) {
    const bool inside =
        control.offset <= arena_.bytes && control.bytes <= arena_.bytes - control.offset;
    const bool sound = control.bytes > 0 && control.chunk_bytes > 0 &&
                       control.chunks_in_flight > 0 && outgoing_.size() < outgoing_max;
    if (!inside || !sound) {
        const auto reason =
            fmt::format("{} bytes at {} were asked of rank {}, which {}", control.bytes,
                        control.offset, index(net_.self()),
                        inside ? "has too much to send already" : "are not inside its arena");
        return net_.post(from, Control{.kind = ControlKind::refused, .id = control.id},
                         std::as_bytes(std::span(reason)));
    }
    outgoing_.push_back({.to = from,
                         .id = control.id,
                         .bytes = {arena_.base + control.offset, control.bytes},
                         .chunk_bytes = control.chunk_bytes,
                         .window = std::min(control.chunks_in_flight, window_max)});
}

void UcxBulk::send_chunk(std::list<Outgoing>::iterator of) {
    native::UcpEndpoint* to = net_.endpoint(of->to);
    if (to == nullptr) {
        forget(*of);
        if (of->in_flight == 0) outgoing_.erase(of);
        return;
    }
    Flow& flow = flows_[of->to];
    const std::size_t grain = grain_of(of->chunk_bytes);
    const std::size_t bytes = std::min(std::min(of->chunk_bytes, flow.allowance()) / grain * grain,
                                       of->bytes.size() - of->next);
    auto* chunk = new Chunk{{net_.seal(), of->id, of->next}, this, of};
    ucp_request_param_t param{};
    param.op_attr_mask =
        UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA | UCP_OP_ATTR_FIELD_FLAGS;
    param.flags = bytes > eager_bytes_max ? UCP_AM_SEND_FLAG_RNDV : UCP_AM_SEND_FLAG_EAGER;
    param.cb.send = &on_chunk_sent;
    param.user_data = chunk;
    const std::byte* from = of->bytes.data() + of->next;
    flow.sent(of->id, of->next, bytes, Clock::now());
    of->next += bytes;
    ++of->in_flight;
    ++chunks_out_;
    ++awaited_;
    const auto request = ucp_am_send_nbx(to->get(), static_cast<unsigned>(MessageId::chunk),
                                         &chunk->header, sizeof chunk->header, from, bytes, &param);
    if (UCS_PTR_IS_ERR(request)) {
        net_.note_failure(of->to, std::string(native::ucp_words(UCS_PTR_STATUS(request))));
        forget(*of);
    }
    if (!UCS_PTR_IS_PTR(request)) chunk_sent(chunk, UCS_PTR_STATUS(request));
}

void UcxBulk::on_chunk_sent(void* request, ucs_status_t status, void* user) noexcept {
    auto* chunk = static_cast<Chunk*>(user);
    chunk->bulk->chunk_sent(chunk, status);
    ucp_request_free(request);
}

void UcxBulk::chunk_sent(Chunk* chunk, ucs_status_t status) noexcept {
    const auto of = chunk->of;
    delete chunk;
    if (status == UCS_OK) net_.note_carried(of->to);
    net_.note_activity();
    --chunks_out_;
    if (!of->lost) --awaited_;
    --of->in_flight;
    if (of->in_flight == 0 && (of->lost || of->next == of->bytes.size())) outgoing_.erase(of);
}

void UcxBulk::forget(Outgoing& transfer) noexcept {
    if (!std::exchange(transfer.lost, true)) awaited_ -= transfer.in_flight;
}

// ---- the receiver's side

UcxBulk::Incoming* UcxBulk::find_incoming(Rank from, std::uint64_t id) {
    const auto at = incoming_.find(id);
    if (at == incoming_.end() || at->second->request.from != from) return nullptr;
    return at->second.get();
}

/// Whether the transfer waits for a chunk like that; it does so only once.
bool UcxBulk::take_grains(Incoming& transfer, std::size_t offset, std::size_t bytes) {
    const std::size_t grain = grain_of(settings_.chunk_bytes);
    const std::size_t total = transfer.request.into.size();
    if (offset % grain != 0 || offset >= total || bytes == 0 || bytes > settings_.chunk_bytes ||
        bytes > total - offset || (bytes % grain != 0 && offset + bytes != total)) {
        return false;
    }
    for (std::size_t at = offset; at < offset + bytes; at += grain) {
        if (transfer.seen[at / grain]) return false;
        transfer.seen[at / grain] = true;
    }
    return true;
}

void UcxBulk::acknowledge(Rank from, std::uint64_t transfer, std::uint64_t offset) {
    net_.post(from, Control{.kind = ControlKind::arrived, .id = transfer, .offset = offset});
}

ucs_status_t UcxBulk::receive_chunk(const ChunkHeader& header, void* data, std::size_t bytes,
                                    const ucp_am_recv_param_t& param) {
    const Rank from{header.seal.sender};
    Incoming* transfer = find_incoming(from, header.id);
    // Nobody waits for it any more: UCX lets go of what is not taken.
    if (transfer == nullptr || transfer->failure) {
        acknowledge(from, header.id, header.offset);
        return UCS_OK;
    }
    if (!take_grains(*transfer, header.offset, bytes)) {
        net_.note_failure(from, "it sent a chunk that nobody asked for");
        return UCS_OK;
    }
    std::byte* into = transfer->request.into.data() + header.offset;
    ++transfer->landing;
    ++landing_;
    ++awaited_;
    if ((param.recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) == 0) {
        std::memcpy(into, data, bytes);
        acknowledge(from, header.id, header.offset);
        landed(*transfer, bytes, UCS_OK);
        return UCS_OK;
    }
    ucp_request_param_t receive{};
    receive.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
    receive.cb.recv_am = &on_received;
    auto* const landing = new Landing{transfer, header.offset};
    receive.user_data = landing;
    const auto request = ucp_am_recv_data_nbx(net_.worker().get(), data, into, bytes, &receive);
    if (UCS_PTR_IS_PTR(request)) return UCS_INPROGRESS;
    delete landing;
    acknowledge(from, header.id, header.offset);
    landed(*transfer, bytes, UCS_PTR_STATUS(request));
    return UCS_INPROGRESS;
}

void UcxBulk::on_received(void* request, ucs_status_t status, std::size_t bytes,
                          void* user) noexcept {
    const std::unique_ptr<Landing> landing(static_cast<Landing*>(user));
    Incoming& transfer = *landing->of;
    transfer.bulk->acknowledge(transfer.request.from, transfer.id, landing->offset);
    transfer.bulk->landed(transfer, bytes, status);
    ucp_request_free(request);
}

void UcxBulk::landed(Incoming& transfer, std::size_t bytes, ucs_status_t status) {
    net_.note_activity();
    --transfer.landing;
    --landing_;
    if (!transfer.failure) --awaited_;
    if (status == UCS_OK) {
        transfer.arrived += bytes;
        bytes_fetched_.store(bytes_fetched() + bytes, std::memory_order_relaxed);
        end_if_over(transfer);
    } else {
        transfer.broke_off = true;
        fail(transfer,
             fmt::format("the transfer from rank {} broke off: {}", index(transfer.request.from),
                         native::ucp_words(status)),
             false);
    }
}

void UcxBulk::fail(Incoming& transfer, std::string reason, bool peer_gone) {
    if (!transfer.failure) {
        transfer.failure = std::move(reason);
        awaited_ -= transfer.landing;
        transfer.give_up = Clock::now() + wait_for_landing;
    }
    transfer.peer_gone = transfer.peer_gone || peer_gone;
    end_if_over(transfer);
}

void UcxBulk::end_if_over(Incoming& transfer) {
    if (transfer.over) return;
    const bool whole = transfer.arrived == transfer.request.into.size();
    if (transfer.landing > 0) {
        if (!transfer.failure || Clock::now() < transfer.give_up) return;
        log::warning(fmt::format("UCX keeps {} chunks of rank {}, which is gone", transfer.landing,
                                 index(transfer.request.from)));
        // UCX may still call back for this transfer, so its memory must outlive UCX.
        transfer.over = true;
        (void)incoming_.at(transfer.id).release();
    } else if (!whole && !transfer.failure) {
        return;
    }
    if (transfer.broke_off && !transfer.peer_gone) {
        // UCX is about to say that the link is broken, which lose() tells; should it not, we do.
        if (Clock::now() < transfer.give_up) return;
        net_.note_failure(transfer.request.from, *transfer.failure);
        transfer.peer_gone = true;
    }
    outcomes_.push_back(
        {transfer.request.fetch, whole ? std::string{} : *transfer.failure, transfer.peer_gone});
    if (transfer.request.verb == Verb::get) --reads_;
    incoming_.erase(transfer.id);
}

}  // namespace mobula::transport
