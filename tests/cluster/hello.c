// SPDX-License-Identifier: Apache-2.0
// MPI and UCX say hello: every rank exchanges UCX addresses by MPI and then sends every other rank
// one active message by UCX. Rank 0 prints the hosts and one closing line. Needs no engine, so a
// failure here is the cluster's or the installation's and not ours.
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucp/api/ucp.h>
#include <ucs/debug/log_def.h>
#include <unistd.h>

static int greetings;

static void check(ucs_status_t status, const char* what) {
    if (status == UCS_OK) return;
    fprintf(stderr, "hello: %s: %s\n", what, ucs_status_string(status));
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static ucs_status_t greeted(void* arg, const void* header, size_t header_bytes, void* data,
                            size_t bytes, const ucp_am_recv_param_t* param) {
    (void)arg, (void)header, (void)header_bytes, (void)data, (void)bytes, (void)param;
    ++greetings;
    return UCS_OK;
}

static ucs_log_func_rc_t say_nothing(const char* file, unsigned line, const char* function,
                                     ucs_log_level_t level, const ucs_log_component_config_t* part,
                                     const char* message, va_list arguments) {
    (void)file, (void)line, (void)function, (void)level, (void)part, (void)message;
    (void)arguments;
    return UCS_LOG_FUNC_RC_STOP;
}

int main(int argc, char** argv) {
    int rank, ranks, provided;
    // As the engine does, and for its reason: see src/native/mpi.cpp.
    setenv("OMPI_MCA_opal_common_ucx_tls", "any", 0);
    setenv("OMPI_MCA_opal_common_ucx_devices", "any", 0);
    setenv("OMPI_MCA_pml", "^cm", 0);
    setenv("OMPI_MCA_opal_common_ucx_verbose", "-1", 0);
    setenv("UCX_TCP_MAX_POLL", "1", 0);
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);

    ucp_context_h context;
    ucp_worker_h worker;
    ucp_config_t* config;
    check(ucp_config_read(NULL, NULL, &config), "ucp_config_read");
    ucp_params_t params = {.field_mask = UCP_PARAM_FIELD_FEATURES, .features = UCP_FEATURE_AM};
    check(ucp_init(&params, config, &context), "ucp_init");
    ucp_config_release(config);
    ucp_worker_params_t worker_params = {0};
    check(ucp_worker_create(context, &worker_params, &worker), "ucp_worker_create");
    ucp_am_handler_param_t handler = {
        .field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_CB,
        .id = 1,
        .cb = greeted};
    check(ucp_worker_set_am_recv_handler(worker, &handler), "ucp_worker_set_am_recv_handler");

    // Addresses may differ in length; every rank sends the longest one.
    enum { address_bytes_max = 4096, host_bytes_max = 64 };
    ucp_address_t* address;
    size_t bytes;
    check(ucp_worker_get_address(worker, &address, &bytes), "ucp_worker_get_address");
    if (bytes > address_bytes_max) MPI_Abort(MPI_COMM_WORLD, 1);
    char mine[address_bytes_max] = {0};
    memcpy(mine, address, bytes);
    ucp_worker_release_address(worker, address);
    char* all = malloc((size_t)ranks * address_bytes_max);
    MPI_Allgather(mine, address_bytes_max, MPI_BYTE, all, address_bytes_max, MPI_BYTE,
                  MPI_COMM_WORLD);

    ucp_ep_h* peers = calloc((size_t)ranks, sizeof *peers);
    for (int peer = 0; peer < ranks; ++peer) {
        ucp_ep_params_t ep_params = {
            .field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS,
            .address = (ucp_address_t*)(all + (size_t)peer * address_bytes_max)};
        check(ucp_ep_create(worker, &ep_params, &peers[peer]), "ucp_ep_create");
        if (peer == rank) continue;
        ucp_request_param_t none = {0};
        ucs_status_ptr_t request = ucp_am_send_nbx(peers[peer], 1, NULL, 0, "hello", 5, &none);
        if (UCS_PTR_IS_ERR(request)) check(UCS_PTR_STATUS(request), "ucp_am_send_nbx");
        while (UCS_PTR_IS_PTR(request) && ucp_request_check_status(request) == UCS_INPROGRESS)
            ucp_worker_progress(worker);
        if (UCS_PTR_IS_PTR(request)) ucp_request_free(request);
    }
    while (greetings < ranks - 1) ucp_worker_progress(worker);

    // With the argument `lanes` rank 0 also tells what its endpoints go over.
    for (int peer = 0; rank == 0 && argc > 1 && peer < ranks; ++peer) {
        printf("endpoint to rank %d\n", peer);
        ucp_ep_print_info(peers[peer], stdout);
    }

    char host[host_bytes_max] = {0};
    gethostname(host, sizeof host - 1);
    char* hosts = malloc((size_t)ranks * host_bytes_max);
    MPI_Gather(host, host_bytes_max, MPI_BYTE, hosts, host_bytes_max, MPI_BYTE, 0, MPI_COMM_WORLD);
    if (rank == 0) {
        printf("hello from %d ranks on", ranks);
        for (int peer = 0; peer < ranks; ++peer) printf(" %s", hosts + peer * host_bytes_max);
        printf("\n");
    }
    free(hosts);
    free(all);

    // Nobody may leave while a peer still waits for an acknowledgement of its greeting.
    for (int peer = 0; peer < ranks; ++peer) {
        ucp_request_param_t none = {0};
        ucs_status_ptr_t request = ucp_ep_close_nbx(peers[peer], &none);
        while (UCS_PTR_IS_PTR(request) && ucp_request_check_status(request) == UCS_INPROGRESS)
            ucp_worker_progress(worker);
        if (UCS_PTR_IS_PTR(request)) ucp_request_free(request);
    }
    free(peers);
    MPI_Request barrier;
    int done = 0;
    MPI_Ibarrier(MPI_COMM_WORLD, &barrier);
    while (!done) {
        ucp_worker_progress(worker);
        MPI_Test(&barrier, &done, MPI_STATUS_IGNORE);
    }
    ucp_worker_destroy(worker);
    ucp_cleanup(context);
    ucs_log_push_handler(say_nothing);
    MPI_Finalize();
    return 0;
}
