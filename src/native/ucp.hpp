// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ucp/api/ucp.h>

// Owners of UCP's handles. Each is move-only, *thread-bound* to whoever holds the transport's turn,
// and throws UcpError from its constructor. What goes wrong in a destructor is ignored.

namespace mobula::native {

/// A call of UCP failed; the message names the call and UCX's own words.
class UcpError : public std::runtime_error {
public:
    UcpError(std::string_view call, ucs_status_t status);
};

/// UCX's words for a status; the text lives for ever.
[[nodiscard]] std::string_view ucp_words(ucs_status_t status) noexcept;

/// Gives a request of UCP back; does nothing for a call that completed at once or failed.
void ucp_give_back(ucs_status_ptr_t request) noexcept;

/// Sets what UCX reads from the environment alone, unless it is set. UcpContext does so itself; for
/// libraries with an own context of UCX, before they make it. `network`: whether TCP may be used;
/// UCX warns of settings for what is off.
void set_ucx_environment(bool network) noexcept;

/// From now on UCX says nothing; for the end of a process, when peers may be gone already.
void silence_ucx() noexcept;

/// What a context is for.
struct UcpNeeds {
    std::size_t endpoints_expected = 0;  ///< a hint, from which UCX chooses scalable transports
    std::size_t ranks_on_node = 1;       ///< another
    bool one_sided = false;  ///< reads of remote memory; without it peers can reach none of ours
    unsigned workers = 1;    ///< that different threads may use at the same time
    bool network = true;     ///< false: all peers share this machine's memory, so nothing listens
};

/// The library with the settings this project cannot do without: shared memory stays in use
/// although endpoints report errors, and a dead peer on the same node is found within a few
/// keepalives. The environment wins over every one of these settings.
class UcpContext {
public:
    explicit UcpContext(const UcpNeeds& needs);
    UcpContext(UcpContext&& from) noexcept
        : handle_(std::exchange(from.handle_, nullptr)), serves_reads_(from.serves_reads_) {}
    UcpContext& operator=(UcpContext&&) = delete;
    ~UcpContext();

    [[nodiscard]] ucp_context_h get() const noexcept { return handle_; }
    /// Whether peers may read this rank's memory.
    [[nodiscard]] bool serves_reads() const noexcept { return serves_reads_; }

    /// What UCX tells of the devices that it uses: several lines of text.
    [[nodiscard]] std::string describe() const;

private:
    ucp_context_h handle_ = nullptr;
    bool serves_reads_ = false;
};

/// One worker in mode SERIALIZED: any thread may use it, one at a time.
class UcpWorker {
public:
    explicit UcpWorker(const UcpContext& context);
    UcpWorker(UcpWorker&& from) noexcept : handle_(std::exchange(from.handle_, nullptr)) {}
    UcpWorker& operator=(UcpWorker&&) = delete;
    ~UcpWorker();

    [[nodiscard]] ucp_worker_h get() const noexcept { return handle_; }

    /// What a peer needs to talk to this worker.
    [[nodiscard]] std::vector<std::byte> address() const;

    /// The descriptor that becomes readable after arm() when something happens; UCX owns it.
    [[nodiscard]] int event_fd() const;

    /// False when something has happened already: progress and try again.
    [[nodiscard]] bool arm() noexcept { return ucp_worker_arm(handle_) == UCS_OK; }

    /// Has `handler` called for active messages of this id. UCX 1.13 makes room for handlers by
    /// doubling it, and calls whatever lies where none was set when a message of that id comes: a
    /// handler is to be set for all ids below `ids`. Those above are dropped by UCX.
    void on_message(unsigned id, ucp_am_recv_callback_t handler, void* owner);
    static constexpr unsigned ids = 16;

private:
    ucp_worker_h handle_ = nullptr;
};

/// A connection to one peer with error mode PEER: `failed` is called once, inside progress, when
/// the peer cannot be reached any more. The destructor closes by force and does not wait, so the
/// worker must make progress (or end) afterwards; buffers in flight belong to UCX until their
/// requests have completed.
class UcpEndpoint {
public:
    UcpEndpoint() = default;
    UcpEndpoint(const UcpWorker& worker, std::span<const std::byte> address,
                ucp_err_handler_cb_t failed, void* owner);
    UcpEndpoint(UcpEndpoint&& from) noexcept : handle_(std::exchange(from.handle_, nullptr)) {}
    UcpEndpoint& operator=(UcpEndpoint&& from) noexcept {
        std::swap(handle_, from.handle_);
        return *this;
    }
    ~UcpEndpoint();

    [[nodiscard]] ucp_ep_h get() const noexcept { return handle_; }
    [[nodiscard]] explicit operator bool() const noexcept { return handle_ != nullptr; }

    /// Starts to close, after what was sent (`flush`) or at once, and forgets the endpoint. Returns
    /// the request to watch and give back, or nullptr when it is closed already.
    [[nodiscard]] ucs_status_ptr_t close(bool flush) noexcept;

    /// What UCX tells of its lanes: several lines of text.
    [[nodiscard]] std::string describe() const;

private:
    ucp_ep_h handle_ = nullptr;
};

/// Memory that is registered for one-sided reads by peers, and for reads alone, with its packed
/// key.
class UcpMemory {
public:
    UcpMemory(const UcpContext& context, std::byte* base, std::size_t bytes);
    UcpMemory(UcpMemory&& from) noexcept
        : context_(from.context_), handle_(std::exchange(from.handle_, nullptr)) {}
    UcpMemory& operator=(UcpMemory&&) = delete;
    ~UcpMemory();

    [[nodiscard]] std::vector<std::byte> packed_key() const;

private:
    ucp_context_h context_ = nullptr;
    ucp_mem_h handle_ = nullptr;
};

/// A peer's key, unpacked for one endpoint; must go before the endpoint does.
class UcpKey {
public:
    UcpKey(const UcpEndpoint& endpoint, std::span<const std::byte> packed);
    UcpKey(UcpKey&& from) noexcept : handle_(std::exchange(from.handle_, nullptr)) {}
    UcpKey& operator=(UcpKey&&) = delete;
    ~UcpKey();

    [[nodiscard]] ucp_rkey_h get() const noexcept { return handle_; }

private:
    ucp_rkey_h handle_ = nullptr;
};

/// The library's version, for `mobula doctor`. *Thread-safe*.
[[nodiscard]] std::string ucx_version();

}  // namespace mobula::native
