// SPDX-License-Identifier: Apache-2.0
#include "native/ucp.hpp"

#include <ucs/debug/log_def.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace mobula::native {

namespace {

void must(ucs_status_t status, const char* call) {
    if (status != UCS_OK) throw UcpError(call, status);
}

struct Config {
    Config() { must(ucp_config_read(nullptr, nullptr, &handle), "ucp_config_read"); }
    ~Config() { ucp_config_release(handle); }
    Config(const Config&) = delete;
    Config& operator=(const Config&) = delete;

    /// An older or newer UCX may lack the name; then its own default must do.
    void set(const char* name, const char* value) {
        if (std::getenv((std::string("UCX_") + name).c_str()) != nullptr) return;
        (void)ucp_config_modify(handle, name, value);
    }

    ucp_config_t* handle = nullptr;
};

/// Whether the user has left shared memory on; UCX warns of settings for what is off.
bool wants_shared_memory() {
    const char* chosen = std::getenv("UCX_TLS");
    if (chosen == nullptr) return true;
    const std::string list = chosen;
    const auto names = [&list](const char* name) { return list.find(name) != std::string::npos; };
    if (list.starts_with('^')) return !names("sm") && !names("shm") && !names("mm");
    return names("all") || names("sm") || names("shm") || names("mm") || names("sysv") ||
           names("posix");
}

/// UCX tells such things only to a file.
template <class Print>
std::string printed(Print&& print) {
    char* text = nullptr;
    std::size_t bytes = 0;
    std::FILE* memory = open_memstream(&text, &bytes);
    if (memory == nullptr) return {};
    print(memory);
    std::fclose(memory);
    std::string copy(text, bytes);
    std::free(text);
    return copy;
}

}  // namespace

UcpError::UcpError(std::string_view call, ucs_status_t status)
    : std::runtime_error(std::string(call) + " failed: " + ucs_status_string(status)) {}

std::string_view ucp_words(ucs_status_t status) noexcept { return ucs_status_string(status); }

void ucp_give_back(ucs_status_ptr_t request) noexcept {
    if (UCS_PTR_IS_PTR(request)) ucp_request_free(request);
}

/// Whether the user's list of transports may have TCP in it.
bool asks_for_tcp() noexcept {
    const char* const text = std::getenv("UCX_TLS");
    const std::string_view list = text == nullptr ? "" : text;
    return list.find("tcp") != list.npos || list.find("all") != list.npos;
}

void set_ucx_environment(bool network) noexcept {
    // These belong to a memory domain and to an interface.
    setenv("UCX_CMA_MEMORY_INVALIDATE", "y", 0);
    // UCX 1.13 takes several events at once, and aborts when one of them closes the connection that
    // a later one is about (tcp_iface.c: "conn_state != CLOSED"), as after a peer's death.
    if (network || asks_for_tcp()) setenv("UCX_TCP_MAX_POLL", "1", 0);
}

void silence_ucx() noexcept {
    ucs_log_push_handler([](const char*, unsigned, const char*, ucs_log_level_t,
                            const ucs_log_component_config_t*, const char*,
                            va_list) { return UCS_LOG_FUNC_RC_STOP; });
}

UcpContext::UcpContext(const UcpNeeds& needs) : serves_reads_(needs.one_sided) {
    set_ucx_environment(needs.network);
    Config config;
    // Segments of System V can be opened by the user's whole group (mode 0660), others only by the
    // user; and what does not listen needs no protection.
    config.set("TLS", needs.network ? "^sysv" : "^sysv,tcp");
    if (wants_shared_memory()) config.set("MM_ERROR_HANDLING", "y");
    config.set("KEEPALIVE_INTERVAL", "200ms");
    ucp_params_t params{};
    params.field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_ESTIMATED_NUM_EPS |
                        UCP_PARAM_FIELD_ESTIMATED_NUM_PPN | UCP_PARAM_FIELD_NAME |
                        UCP_PARAM_FIELD_MT_WORKERS_SHARED;
    // TAG is never used, but without it UCX may choose lanes that cannot wake a sleeper.
    params.features = UCP_FEATURE_AM | UCP_FEATURE_TAG | UCP_FEATURE_WAKEUP;
    // Over networks that cannot do it by themselves UCX reads and writes remote memory by messages,
    // at any address and for anybody who sends them. Only where it was asked for it handles these.
    if (needs.one_sided) params.features |= UCP_FEATURE_RMA;
    params.estimated_num_eps = needs.endpoints_expected;
    params.estimated_num_ppn = needs.ranks_on_node;
    params.mt_workers_shared = needs.workers > 1 ? 1 : 0;
    params.name = "mobula";
    must(ucp_init(&params, config.handle, &handle_), "ucp_init");
}

UcpContext::~UcpContext() {
    if (handle_ != nullptr) ucp_cleanup(handle_);
}

std::string UcpContext::describe() const {
    return printed([this](std::FILE* into) { ucp_context_print_info(handle_, into); });
}

UcpWorker::UcpWorker(const UcpContext& context) {
    ucp_worker_params_t params{};
    params.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE;
    params.thread_mode = UCS_THREAD_MODE_SERIALIZED;
    must(ucp_worker_create(context.get(), &params, &handle_), "ucp_worker_create");
}

UcpWorker::~UcpWorker() {
    if (handle_ != nullptr) ucp_worker_destroy(handle_);
}

std::vector<std::byte> UcpWorker::address() const {
    ucp_address_t* address = nullptr;
    std::size_t bytes = 0;
    must(ucp_worker_get_address(handle_, &address, &bytes), "ucp_worker_get_address");
    const auto* begin = reinterpret_cast<const std::byte*>(address);
    std::vector<std::byte> copy(begin, begin + bytes);
    ucp_worker_release_address(handle_, address);
    return copy;
}

int UcpWorker::event_fd() const {
    int fd = -1;
    must(ucp_worker_get_efd(handle_, &fd), "ucp_worker_get_efd");
    return fd;
}

void UcpWorker::on_message(unsigned id, ucp_am_recv_callback_t handler, void* owner) {
    ucp_am_handler_param_t params{};
    params.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_CB |
                        UCP_AM_HANDLER_PARAM_FIELD_ARG | UCP_AM_HANDLER_PARAM_FIELD_FLAGS;
    params.id = id;
    params.flags = UCP_AM_FLAG_WHOLE_MSG;
    params.cb = handler;
    params.arg = owner;
    must(ucp_worker_set_am_recv_handler(handle_, &params), "ucp_worker_set_am_recv_handler");
}

UcpEndpoint::UcpEndpoint(const UcpWorker& worker, std::span<const std::byte> address,
                         ucp_err_handler_cb_t failed, void* owner) {
    ucp_ep_params_t params{};
    params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                        UCP_EP_PARAM_FIELD_ERR_HANDLER;
    params.address = reinterpret_cast<const ucp_address_t*>(address.data());
    params.err_mode = UCP_ERR_HANDLING_MODE_PEER;
    params.err_handler.cb = failed;
    params.err_handler.arg = owner;
    must(ucp_ep_create(worker.get(), &params, &handle_), "ucp_ep_create");
}

UcpEndpoint::~UcpEndpoint() { ucp_give_back(close(false)); }

ucs_status_ptr_t UcpEndpoint::close(bool flush) noexcept {
    if (handle_ == nullptr) return nullptr;
    ucp_request_param_t param{};
    param.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS;
    param.flags = flush ? 0 : UCP_EP_CLOSE_FLAG_FORCE;
    const auto request = ucp_ep_close_nbx(std::exchange(handle_, nullptr), &param);
    return UCS_PTR_IS_PTR(request) ? request : nullptr;
}

std::string UcpEndpoint::describe() const {
    return printed([this](std::FILE* into) { ucp_ep_print_info(handle_, into); });
}

UcpMemory::UcpMemory(const UcpContext& context, std::byte* base, std::size_t bytes)
    : context_(context.get()) {
    ucp_mem_map_params_t params{};
    params.field_mask = UCP_MEM_MAP_PARAM_FIELD_ADDRESS | UCP_MEM_MAP_PARAM_FIELD_LENGTH |
                        UCP_MEM_MAP_PARAM_FIELD_PROT;
    params.prot =
        UCP_MEM_MAP_PROT_LOCAL_READ | UCP_MEM_MAP_PROT_LOCAL_WRITE | UCP_MEM_MAP_PROT_REMOTE_READ;
    params.address = base;
    params.length = bytes;
    must(ucp_mem_map(context_, &params, &handle_), "ucp_mem_map");
}

UcpMemory::~UcpMemory() {
    if (handle_ != nullptr) (void)ucp_mem_unmap(context_, handle_);
}

std::vector<std::byte> UcpMemory::packed_key() const {
    void* packed = nullptr;
    std::size_t bytes = 0;
    must(ucp_rkey_pack(context_, handle_, &packed, &bytes), "ucp_rkey_pack");
    const auto* begin = static_cast<const std::byte*>(packed);
    std::vector<std::byte> copy(begin, begin + bytes);
    ucp_rkey_buffer_release(packed);
    return copy;
}

UcpKey::UcpKey(const UcpEndpoint& endpoint, std::span<const std::byte> packed) {
    must(ucp_ep_rkey_unpack(endpoint.get(), packed.data(), &handle_), "ucp_ep_rkey_unpack");
}

UcpKey::~UcpKey() {
    if (handle_ != nullptr) ucp_rkey_destroy(handle_);
}

std::string ucx_version() { return ucp_get_version_string(); }

}  // namespace mobula::native
