// SPDX-License-Identifier: Apache-2.0
#include "transport/pulse.hpp"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/check.hpp"

namespace mobula::transport {

namespace {

constexpr unsigned beat_message = 1;

// To a peer that takes nothing a few are enough.
constexpr unsigned in_flight_max = 4;

// UCX may claim for ever that it makes progress (see UcxNet::progress).
constexpr int progress_max = 256;

constexpr std::chrono::milliseconds closing_time{500};

}  // namespace

Pulse::Pulse(const native::UcpContext& context) : worker_(context) {}

Pulse::~Pulse() {
    stop();
    close_all();
}

/// A worker of UCX is not destroyed while it still takes endpoints down, in which a link that was
/// just being made needs its progress.
void Pulse::close_all() noexcept {
    const Time latest = Clock::now() + closing_time;
    for (const auto& peer : peers_) {
        const auto request = peer->endpoint.close(false);
        if (request == nullptr) continue;
        while (ucp_request_check_status(request) == UCS_INPROGRESS && Clock::now() < latest) {
            ucp_worker_progress(worker_.get());
        }
        ucp_request_free(request);
    }
}

void Pulse::start(const Meeting& meeting, std::vector<std::vector<std::byte>> addresses,
                  Duration period) {
    check(addresses.size() == meeting.nodes.size(), "a pulse needs an address for each rank");
    seal_ = {meeting.token, static_cast<std::uint32_t>(index(meeting.self)),
             static_cast<std::uint32_t>(index(meeting.incarnations[index(meeting.self)]))};
    for (std::size_t r = 0; r < addresses.size(); ++r) {
        auto peer = std::make_unique<Peer>();
        peer->address = std::move(addresses[r]);
        peer->incarnation = meeting.incarnations[r];
        peers_.push_back(std::move(peer));
    }
    for (unsigned id = 0; id < native::UcpWorker::ids; ++id) worker_.on_message(id, &on_beat, this);
    thread_ = std::thread([this, period] { run(period); });
}

void Pulse::beat_to(const std::vector<Rank>& ranks) {
    const std::lock_guard guard(mutex_);
    targets_ = ranks;
}

void Pulse::stop() noexcept {
    std::thread ending;
    {
        const std::lock_guard guard(mutex_);
        stopping_ = true;
        ending = std::move(thread_);
    }
    changed_.notify_all();
    if (ending.joinable()) ending.join();
}

void Pulse::settle() noexcept {
    stop();
    const auto is_made = [](const auto& peer) { return peer->broken || peer->in_flight == 0; };
    const Time latest = Clock::now() + closing_time;
    while (!std::all_of(peers_.begin(), peers_.end(), is_made) && Clock::now() < latest) {
        if (ucp_worker_progress(worker_.get()) == 0) ::poll(nullptr, 0, 1);
    }
}

void Pulse::run(Duration period) {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        const std::vector<Rank> targets = targets_;
        lock.unlock();
        for (const Rank rank : targets) beat(*peers_[index(rank)]);
        for (int n = 0; n < progress_max && ucp_worker_progress(worker_.get()) != 0; ++n) {
        }
        lock.lock();
        changed_.wait_for(lock, period, [this] { return stopping_; });
    }
}

void Pulse::beat(Peer& peer) {
    if (peer.broken || peer.in_flight >= in_flight_max) return;
    if (!peer.endpoint) {
        try {
            peer.endpoint = native::UcpEndpoint(worker_, peer.address, &on_broken, &peer);
        } catch (const native::UcpError&) {
            peer.broken = true;
            return;
        }
    }
    ucp_request_param_t param{};
    param.op_attr_mask =
        UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA | UCP_OP_ATTR_FIELD_FLAGS;
    param.flags = UCP_AM_SEND_FLAG_EAGER;
    param.cb.send = &on_sent;
    param.user_data = &peer;
    const auto request = ucp_am_send_nbx(peer.endpoint.get(), beat_message, nullptr, 0, &seal_,
                                         sizeof seal_, &param);
    if (UCS_PTR_IS_ERR(request)) {
        peer.broken = true;
    } else if (request != nullptr) {
        ++peer.in_flight;
    }
}

ucs_status_t Pulse::on_beat(void* self, const void*, std::size_t, void* data, std::size_t bytes,
                            const ucp_am_recv_param_t* param) noexcept {
    // What a rendezvous offers, as only a stranger does, is not here.
    const bool here = (param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) == 0;
    static_cast<Pulse*>(self)->hear({static_cast<const std::byte*>(data), here ? bytes : 0});
    return UCS_OK;
}

void Pulse::hear(std::span<const std::byte> message) noexcept {
    if (carries(message, seal_.token)) {
        const Seal seal = seal_of(message);
        Peer* const peer = seal.sender < peers_.size() ? peers_[seal.sender].get() : nullptr;
        if (peer != nullptr && peer->incarnation == Incarnation{seal.incarnation}) {
            {
                const std::lock_guard guard(mutex_);
                heard_.add(Rank{seal.sender});
            }
            beats_heard_.fetch_add(1, std::memory_order_relaxed);
            return;
        }
    }
    beats_refused_.fetch_add(1, std::memory_order_relaxed);
}

void Pulse::on_sent(void* request, ucs_status_t, void* user) noexcept {
    --static_cast<Peer*>(user)->in_flight;
    ucp_request_free(request);
}

void Pulse::on_broken(void* user, ucp_ep_h, ucs_status_t) noexcept {
    static_cast<Peer*>(user)->broken = true;
}

}  // namespace mobula::transport
