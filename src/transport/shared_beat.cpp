// SPDX-License-Identifier: Apache-2.0
#include "transport/shared_beat.hpp"

#include <cstring>
#include <new>

#include "base/check.hpp"

namespace mobula::transport {

namespace {

using Number = std::atomic<std::uint64_t>;
static_assert(Number::is_always_lock_free, "a lock would lie in the memory of one process");

constexpr std::size_t memory_bytes = 4096;

}  // namespace

SharedBeat::SharedBeat() : memory_(memory_bytes) {
    std::byte* const block = memory_.allocate(sizeof(Number));
    check(block != nullptr, "a page has room for a number");
    number_ = new (block) Number(0);
}

SharedBeat::~SharedBeat() { stop(); }

std::vector<std::byte> SharedBeat::ticket() const {
    const std::uint64_t offset = memory_.offset(reinterpret_cast<const std::byte*>(number_));
    std::vector<std::byte> bytes(sizeof offset);
    std::memcpy(bytes.data(), &offset, sizeof offset);
    const std::vector<std::byte> memory = memory_.ticket();
    bytes.insert(bytes.end(), memory.begin(), memory.end());
    return bytes;
}

void SharedBeat::start(Duration period) {
    thread_ = std::thread([this, period] { run(period); });
}

void SharedBeat::run(Duration period) {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        number_->fetch_add(1, std::memory_order_relaxed);
        changed_.wait_for(lock, period, [this] { return stopping_; });
    }
}

void SharedBeat::stop() noexcept {
    {
        const std::lock_guard guard(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

std::unique_ptr<SharedBeat::Watched> SharedBeat::Watched::open(std::span<const std::byte> ticket) {
    std::uint64_t offset = 0;
    if (ticket.size() < sizeof offset) return nullptr;
    std::memcpy(&offset, ticket.data(), sizeof offset);
    auto watched = std::make_unique<Watched>();
    watched->memory_ = store::PeerArena::open(ticket.subspan(sizeof offset));
    if (!watched->memory_ || offset % alignof(Number) != 0) return nullptr;
    const std::span<const std::byte> bytes = watched->memory_->view(offset, sizeof(Number));
    if (bytes.empty()) return nullptr;
    watched->number_ = reinterpret_cast<const Number*>(bytes.data());
    return watched;
}

bool SharedBeat::Watched::beaten() noexcept {
    const std::uint64_t now = number_->load(std::memory_order_relaxed);
    const bool raised = now != seen_;
    seen_ = now;
    return raised;
}

}  // namespace mobula::transport
