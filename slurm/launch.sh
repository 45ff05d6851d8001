# SPDX-License-Identifier: Apache-2.0
# Sourced by slurm/run: which command starts how many ranks, and with how many CPUs each.

export_settings() {
    # A worker is a thread already; a library that starts one thread per core would oversubscribe.
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
    [[ -z $workers ]] || export MOBULA_WORKERS=$workers
    # mpirun gives every rank a terminal of its own, so the ranks cannot see that ours is none.
    [[ -t 1 ]] || export TERM=dumb
}

mpirun_line() {
    local cpus
    cpus=$(nproc)
    ranks=${ranks:-$((cpus < 4 ? cpus : 4))}
    # --enable-recovery keeps the other ranks alive when one dies; it makes mpirun return 0 always.
    launch=(mpirun --enable-recovery --oversubscribe -n "$ranks")
    ! $show_bindings || launch+=(--report-bindings)
    if [[ -n ${SLURM_JOB_ID:-} ]]; then
        # Which nodes there are is Slurm's to say, and so is what each rank may use there.
        launch+=(--map-by node --bind-to none)
    elif ((ranks <= cpus)); then
        launch+=(--use-hwthread-cpus --map-by "slot:PE=$((cpus / ranks))" --bind-to hwthread)
    else
        launch+=(--bind-to none)
        export MOBULA_WORKERS=1
    fi
    if (($(id -u) == 0)); then
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi
    # Open MPI looks for ssh even when all ranks are on this machine.
    command -v ssh rsh >/dev/null || export OMPI_MCA_plm_rsh_agent=/bin/true
    # The ranks get this long between SIGTERM and SIGKILL.
    export OMPI_MCA_odls_base_sigkill_timeout=2
    if [[ -n ${SLURM_JOB_ID:-} ]]; then
        local name
        for name in $(compgen -e | grep -E '^(MOBULA|UCX|OMP)_'); do launch+=(-x "$name"); done
        launch+=(-x TERM)
    fi
}

# The least of "4(x3),2", which is how Slurm tells the CPUs that the job has on its nodes.
cpus_per_node() {
    tr ',' '\n' <<<"${SLURM_JOB_CPUS_PER_NODE:-1}" | sed 's/(.*//' | sort -n | head -n 1
}

# Slurm tells salloc's shell nothing of GPUs, hence the question to the controller.
gpus_per_node() {
    local count=${SLURM_GPUS_ON_NODE:-}
    count=${count:-$(scontrol show job "$SLURM_JOB_ID" 2>/dev/null |
        sed -n 's/.*TresPerNode=.*gpu[^,]*:\([0-9]\+\).*/\1/p' | head -n 1)}
    echo "${count:-0}"
}

# Those of the first node, as Slurm knows them: salloc's shell is on another machine. Where Slurm
# was told of CPUs only, it takes each for a socket, and this machine is the better witness.
sockets_per_node() {
    local node sockets=''
    node=$(scontrol show hostnames "${SLURM_JOB_NODELIST:-}" 2>/dev/null | head -n 1) || true
    sockets=$(scontrol --oneliner show node "$node" 2>/dev/null | grep -v ' CoresPerSocket=1 ' |
        sed -n 's/.* Sockets=\([0-9]\+\) .*/\1/p') || true
    echo "${sockets:-$(lscpu -p=socket | grep -v '^#' | sort -u | wc -l)}"
}

srun_line() {
    local node_count=${SLURM_JOB_NUM_NODES:-1} cpus per_node=1
    cpus=$(cpus_per_node)
    case $per in
        socket) per_node=$(sockets_per_node) ;;
        gpu)
            per_node=$(gpus_per_node)
            ((per_node > 0)) || refuse '--per gpu: this allocation has no GPU'
            rank_options+=(--gpus-per-task=1)
            ;;
    esac
    ranks=${ranks:-$((node_count * per_node))}
    per_node=$(((ranks + node_count - 1) / node_count))
    # A dead rank must not take the step with it: the engine itself decides what its death means.
    # --disable-status: it hands the ranks SIGINT on, and asks for no second one.
    launch=(srun --mpi=pmix --kill-on-bad-exit=0 --no-kill --wait=0 --disable-status -n "$ranks"
        "${rank_options[@]}")
    ! $show_bindings || launch+=(--cpu-bind=verbose)
    launch+=(-N "$((ranks < node_count ? ranks : node_count))")
    ((ranks % node_count != 0)) || launch+=(--ntasks-per-node="$per_node")
    # Slurm 22.05 opens connections of their own between its daemons while the ranks meet. On busy
    # nodes a start was seen to hang behind its message "Connection reject". Without them it uses
    # those that it has anyway.
    export SLURM_PMIX_DIRECT_CONN=${SLURM_PMIX_DIRECT_CONN:-false}
    # Not every site binds its tasks, so the number of workers is told as well.
    if ((per_node <= cpus)); then
        launch+=(-c "$((cpus / per_node))")
        export MOBULA_WORKERS=$((cpus / per_node))
    else
        launch+=(--overcommit)
        export MOBULA_WORKERS=1 OMPI_MCA_mpi_yield_when_idle=1
    fi
}
