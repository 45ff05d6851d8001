// SPDX-License-Identifier: Apache-2.0
// The receiving half of UcxTransportImpl: what comes in is checked here before anything believes
// it.
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/log.hpp"
#include "transport/ucx_transport.hpp"

namespace mobula::transport {

namespace {

// What may wait for an earlier message of the same peer; UCX reorders little if at all.
constexpr std::size_t early_bytes_max = std::size_t{64} << 20U;

// A buffer for large records is kept for the next one up to here.
constexpr std::size_t kept_partial_bytes_max = std::size_t{1} << 20U;

std::string_view text_of(std::span<const std::byte> bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_aligned(const void* at) noexcept { return reinterpret_cast<std::uintptr_t>(at) % 8 == 0; }

/// Whether `data` are the bytes themselves. Ours all are, because all are sent eagerly; a stranger
/// may offer a rendezvous, and then they are something of UCX's.
bool is_here(const ucp_am_recv_param_t& param) noexcept {
    return (param.recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) == 0;
}

std::vector<std::uint64_t> aligned_copy(std::span<const std::byte> bytes) {
    std::vector<std::uint64_t> words((bytes.size() + 7) / 8);
    if (!bytes.empty()) std::memcpy(words.data(), bytes.data(), bytes.size());
    return words;
}

}  // namespace

ucs_status_t UcxTransportImpl::on_batch(void* self, const void*, std::size_t, void* data,
                                        std::size_t bytes,
                                        const ucp_am_recv_param_t* param) noexcept {
    auto& transport = *static_cast<UcxTransportImpl*>(self);
    const std::span message(static_cast<const std::byte*>(data), bytes);
    if (transport.is_ours(message, is_here(*param))) transport.receive_batch(message);
    return UCS_OK;
}

ucs_status_t UcxTransportImpl::on_control(void* self, const void*, std::size_t, void* data,
                                          std::size_t bytes,
                                          const ucp_am_recv_param_t* param) noexcept {
    auto& transport = *static_cast<UcxTransportImpl*>(self);
    const std::span message(static_cast<const std::byte*>(data), bytes);
    if (transport.is_ours(message, is_here(*param))) transport.receive_control(message);
    return UCS_OK;
}

ucs_status_t UcxTransportImpl::on_chunk(void* self, const void* header, std::size_t header_bytes,
                                        void* data, std::size_t bytes,
                                        const ucp_am_recv_param_t* param) noexcept {
    auto& transport = *static_cast<UcxTransportImpl*>(self);
    ChunkHeader chunk;
    const std::span message(static_cast<const std::byte*>(header), header_bytes);
    if (!transport.is_ours(message, header_bytes == sizeof chunk)) return UCS_OK;
    std::memcpy(&chunk, header, sizeof chunk);
    if (!transport.believes(chunk.seal)) return UCS_OK;
    return transport.bulk_.receive_chunk(chunk, data, bytes, *param);
}

ucs_status_t UcxTransportImpl::on_stray(void* self, const void*, std::size_t, void*, std::size_t,
                                        const ucp_am_recv_param_t*) noexcept {
    static_cast<void>(static_cast<UcxTransportImpl*>(self)->is_ours({}, false));
    return UCS_OK;
}

bool UcxTransportImpl::is_ours(std::span<const std::byte> message, bool whole) {
    if (whole && carries(message, net_.seal().token)) return true;
    if (sums_.messages_refused.get() == 0) {
        log::warning(fmt::format(
            "messages come to rank {} that do not carry this job's token; they are dropped",
            index(self_)));
    }
    sums_.messages_refused.add(1);
    return false;
}

bool UcxTransportImpl::believes(const Seal& seal) {
    net_.note_activity();
    if (ended_) return false;
    const Rank rank{seal.sender};
    const auto verdict = membership_->hears(rank, Incarnation{seal.incarnation});
    if (verdict == Membership::Verdict::fence) fence(rank);
    return verdict == Membership::Verdict::believe;
}

void UcxTransportImpl::distrust(const Seal& seal, std::string_view fault) {
    if (!believes(seal)) return;
    net_.note_failure(Rank{seal.sender}, fmt::format("it sent {}", fault));
}

void UcxTransportImpl::receive_batch(std::span<const std::byte> message) {
    if (!is_aligned(message.data())) {
        const std::size_t words = (message.size() + 7) / 8;
        if (words > aligned_.size()) aligned_.resize(words);
        std::memcpy(aligned_.data(), message.data(), message.size());
        message = std::as_bytes(std::span(aligned_)).first(message.size());
    }
    const std::string_view fault = batch_fault(message);
    if (!fault.empty()) return distrust(seal_of(message), fault);
    const BatchHeader header = batch_header(message);
    if (!believes(header.seal)) return;
    sums_.messages_received.add(1);
    sums_.bytes_received.add(message.size());
    const Rank from{header.seal.sender};
    Inbound& inbound = inbound_[from];
    if (header.sequence != inbound.expected) return stash(from, header.sequence, message);
    ++inbound.expected;
    deliver(from, message);
    while (!inbound.early.empty()) {
        const auto next = inbound.early.find(inbound.expected);
        if (next == inbound.early.end()) break;
        const Early early = std::move(next->second);
        inbound.early.erase(next);
        inbound.early_bytes -= early.bytes;
        ++inbound.expected;
        deliver(from, std::as_bytes(std::span(early.words)).first(early.bytes));
    }
}

void UcxTransportImpl::stash(Rank from, std::uint32_t sequence,
                             std::span<const std::byte> message) {
    Inbound& inbound = inbound_[from];
    // The numbers wrap, so "later" means less than half the circle ahead.
    const bool is_later = sequence - inbound.expected < 0x80000000U;
    inbound.early_bytes += message.size();
    if (!is_later || inbound.early_bytes > early_bytes_max) {
        return net_.note_failure(
            from, fmt::format("its messages are out of order: number {} came instead of {}",
                              sequence, inbound.expected));
    }
    inbound.early.emplace(sequence, Early{aligned_copy(message), message.size()});
}

void UcxTransportImpl::deliver(Rank from, std::span<const std::byte> message) {
    const BatchHeader header = batch_header(message);
    sums_.records_received.add(header.records);
    if (header.format == BatchHeader::part_format) return join_part(from, message);
    for_each_record(message, [this, from](std::span<const std::byte> record) {
        delegate_->on_record(from, record);
    });
}

void UcxTransportImpl::join_part(Rank from, std::span<const std::byte> message) {
    Inbound& inbound = inbound_[from];
    const PartPrefix prefix = part_prefix(message);
    const auto bytes = message.subspan(part_overhead);
    if (prefix.offset != inbound.partial_bytes || prefix.record_bytes > record_bytes_max) {
        return net_.note_failure(from, "it sent a part that does not fit to those before");
    }
    if (prefix.offset == 0) inbound.partial.resize((prefix.record_bytes + 7) / 8);
    const auto record = std::as_writable_bytes(std::span(inbound.partial));
    if (prefix.record_bytes > record.size()) {
        return net_.note_failure(from, "it sent parts of records of different sizes");
    }
    std::memcpy(record.data() + prefix.offset, bytes.data(), bytes.size());
    inbound.partial_bytes += bytes.size();
    if (inbound.partial_bytes < prefix.record_bytes) return;
    inbound.partial_bytes = 0;
    delegate_->on_record(from, record.first(prefix.record_bytes));
    // Usual sizes are used again, a rare giant is not kept.
    if (record.size() > kept_partial_bytes_max) inbound.partial = {};
}

void UcxTransportImpl::receive_control(std::span<const std::byte> message) {
    const std::string_view fault = control_fault(message);
    if (!fault.empty()) return distrust(seal_of(message), fault);
    const Control control = control_header(message);
    const auto tail = message.subspan(sizeof control);
    const Rank from{control.seal.sender};
    if (control.kind == ControlKind::death && Rank{control.subject} == self_) {
        return accuse_self(control, text_of(tail));
    }
    if (!believes(control.seal)) return;
    if (control.kind == ControlKind::beat) return;
    if (control.kind == ControlKind::closed) {
        closed_ = true;
        return;
    }
    if (control.kind == ControlKind::quiet) {
        quiet_.add(from);
        return;
    }
    if (control.kind == ControlKind::death || control.kind == ControlKind::left) {
        const Rank subject{control.subject};
        if (control.subject >= ranks_ || subject == self_) return;
        if (control.kind == ControlKind::left) return take_leave_of(subject);
        return lose(subject, std::string(text_of(tail)), true);
    }
    bulk_.receive(from, control, tail);
}

void UcxTransportImpl::accuse_self(const Control& accusation, std::string_view reason) {
    if (ended_) return;
    const Rank accuser{accusation.seal.sender};
    const auto verdict = membership_->hears(accuser, Incarnation{accusation.seal.incarnation});
    if (verdict == Membership::Verdict::drop) return;
    // Two that were cut off from each other each hold the other for dead: the lower rank stays.
    if (verdict == Membership::Verdict::fence && accuser > self_) return fence(accuser);
    if (std::exchange(fenced_, true)) return;
    fenced_because_ = fmt::format("rank {} declared this rank dead: {}", index(accuser), reason);
    news_ = true;
}

}  // namespace mobula::transport
