// SPDX-License-Identifier: Apache-2.0
// The verb get of UcxBulk: the receiver reads the owner's arena by itself. An arena is registered
// in extents, each when it is first asked for, because registering pins its pages.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.hpp"
#include "transport/ucx_bulk.hpp"

namespace mobula::transport {

namespace {

constexpr std::uint64_t extent_bytes = std::uint64_t{64} << 20U;

}  // namespace

void UcxBulk::serve_key(Rank from, std::uint64_t extent) {
    Control answer{.kind = ControlKind::key, .id = extent};
    std::vector<std::byte> key;
    if (extent < arena_.bytes / extent_bytes + 1 && extent * extent_bytes < arena_.bytes) {
        std::byte* base = arena_.base + extent * extent_bytes;
        const std::size_t bytes = std::min(extent_bytes, arena_.bytes - extent * extent_bytes);
        try {
            auto at = own_extents_.find(extent);
            if (at == own_extents_.end()) {
                at = own_extents_.emplace(extent, native::UcpMemory(net_.context(), base, bytes))
                         .first;
            }
            key = at->second.packed_key();
            answer.offset = reinterpret_cast<std::uintptr_t>(base);
            answer.bytes = bytes;
        } catch (const native::UcpError& error) {
            log::warning(fmt::format("the arena cannot be registered: {}", error.what()));
        }
    }
    net_.post(from, answer, key);
}

void UcxBulk::learn_key(Rank from, const Control& control, std::span<const std::byte> packed) {
    auto& known = remote_extents_[from];
    const auto at = known.find(control.id);
    // Only what was asked for is believed.
    if (at == known.end() || at->second.key || at->second.refused) return;
    native::UcpEndpoint* link = net_.endpoint(from);
    at->second.address = control.offset;
    at->second.bytes = control.bytes;
    at->second.refused = true;
    if (packed.empty() || link == nullptr) return;
    try {
        at->second.key.emplace(*link, packed);
        at->second.refused = false;
    } catch (const native::UcpError& error) {
        log::warning(fmt::format("the key of rank {} is of no use: {}", index(from), error.what()));
    }
}

void UcxBulk::read_more(Incoming& transfer) {
    const Rank from = transfer.request.from;
    const std::size_t total = transfer.request.into.size();
    while (transfer.asked < total && transfer.landing < settings_.chunks_in_flight) {
        const std::uint64_t offset = transfer.request.offset + transfer.asked;
        const std::uint64_t number = offset / extent_bytes;
        const auto [at, is_new] = remote_extents_[from].try_emplace(number);
        if (is_new) net_.post(from, Control{.kind = ControlKind::want_key, .id = number});
        const RemoteExtent& extent = at->second;
        native::UcpEndpoint* link = net_.endpoint(from);
        if (extent.refused || link == nullptr) {
            return fail(transfer,
                        fmt::format("rank {} gives no key for {} bytes at {}", index(from), total,
                                    transfer.request.offset),
                        link == nullptr);
        }
        if (!extent.key) return;
        const std::uint64_t within = offset % extent_bytes;
        const std::size_t bytes = std::min(
            {settings_.chunk_bytes, total - transfer.asked, std::size_t{extent_bytes - within}});
        // The network would read whatever lies behind the arena, so the reader checks.
        if (within + bytes > extent.bytes) {
            return fail(transfer,
                        fmt::format("{} bytes at {} are not inside the arena of rank {}", total,
                                    transfer.request.offset, index(from)),
                        false);
        }
        ucp_request_param_t param{};
        param.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA;
        param.cb.send = &on_read;
        param.user_data = new Read{&transfer, bytes};
        std::byte* into = transfer.request.into.data() + transfer.asked;
        transfer.asked += bytes;
        ++transfer.landing;
        ++landing_;
        ++awaited_;
        const auto request = ucp_get_nbx(link->get(), into, bytes, extent.address + within,
                                         extent.key->get(), &param);
        if (UCS_PTR_IS_PTR(request)) continue;
        delete static_cast<Read*>(param.user_data);
        // Over at once: this may have ended the transfer, so nothing of it is touched any more.
        const bool last = transfer.asked == total;
        const auto status = UCS_PTR_STATUS(request);
        landed(transfer, bytes, status);
        if (last || status != UCS_OK) return;
    }
}

void UcxBulk::on_read(void* request, ucs_status_t status, void* user) noexcept {
    const std::unique_ptr<Read> read(static_cast<Read*>(user));
    read->of->bulk->landed(*read->of, read->bytes, status);
    ucp_request_free(request);
}

}  // namespace mobula::transport
