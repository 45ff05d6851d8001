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
    # --enable-recovery keeps the other ranks alive when one dies; it makes mpirun return 0 always.
    launch=(mpirun --enable-recovery --oversubscribe)
    ! $show_bindings || launch+=(--report-bindings)
    if [[ -n ${SLURM_JOB_ID:-} ]]; then map_to_nodes; else map_to_cpus; fi
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

# So many ranks share a CPU at most; more are a slip of the finger, and would take the machine down.
readonly ranks_per_cpu_max=64
refuse_too_many() {
    local limit=$(($1 * ranks_per_cpu_max))
    ((ranks <= limit)) || refuse "-n $ranks is more than the $limit ranks ($ranks_per_cpu_max per \
CPU) that $2 may have"
}

# On this machine: every rank gets CPUs of its own, if there are enough.
map_to_cpus() {
    local cpus
    cpus=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)  # which else would speak of threads
    ranks=${ranks:-$((cpus < 4 ? cpus : 4))}
    refuse_too_many "$cpus" 'this machine'
    launch+=(-n "$ranks")
    if ((ranks <= cpus)); then
        launch+=(--use-hwthread-cpus --map-by "slot:PE=$((cpus / ranks))" --bind-to hwthread)
    else
        launch+=(--bind-to none)
        export MOBULA_WORKERS=${MOBULA_WORKERS:-1}
    fi
}

# In an allocation: the ranks that srun would start, on the same nodes and with as many workers.
# mpirun does not know which CPUs of a node are the job's and would bind the ranks of two jobs to
# the same ones. Where Slurm binds, mpirun's daemon has the job's CPUs and hands them on.
map_to_nodes() {
    share_allocation
    # Why: see srun_line(); this is for the srun by which mpirun starts its daemons.
    [[ -z ${SLURM_STEP_ID:-} ]] || export SLURM_OVERLAP=1
    launch+=(-n "$ranks" --bind-to none)
    # Ranks that are neighbours by number are on the same node, as under srun.
    if ((ranks == per_node * node_count)); then
        launch+=(--map-by "ppr:$per_node:node")
    elif $unlike; then
        refuse '--per gpu: mpirun cannot start unlike numbers of ranks; leave out --mpirun'
    else
        launch+=(--map-by node)
    fi
}

# The least of "4(x3),2", which is how Slurm tells the CPUs that the job has on its nodes.
cpus_per_node() {
    tr ',' '\n' <<<"${SLURM_JOB_CPUS_PER_NODE:-1}" | sed 's/(.*//' | sort -n | head -n 1
}

# Nodes and how many GPUs each has: "Nodes=n1 ... GRES=gpu:a100:2(IDX:0-1),gpu:v100:1(IDX:2)".
sum_gpus() {
    local line counts
    while read -r line; do
        [[ $line =~ Nodes=([^\ ]+)\ .*GRES=(.*) ]] || continue
        counts=$(grep -o 'gpu[^(,]*:[0-9]\+' <<<"${BASH_REMATCH[2]}" | sed 's/.*://') || true
        [[ -z $counts ]] || echo "${BASH_REMATCH[1]} $((${counts//$'\n'/+}))"
    done
}

# A number per node of the allocation that has GPUs: how many. Slurm tells salloc's shell nothing of
# them, and that they were asked for per job, node or task makes no difference to what the job has.
gpus_of_nodes() {
    local nodes gpus node found=false
    while read -r nodes gpus; do
        for node in $(scontrol show hostnames "$nodes"); do echo "$gpus" && found=true; done
    done < <(timeout 10 scontrol --details show job "$SLURM_JOB_ID" 2>/dev/null | sum_gpus)
    $found || [[ -z ${SLURM_GPUS_ON_NODE:-} ]] || yes "$SLURM_GPUS_ON_NODE" | head -n "$node_count"
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

# Sets `ranks`, the number of nodes that they are on, the most on one node, and the CPUs of each,
# which are 0 where there are more ranks than CPUs.
share_allocation() {
    local name part gpus=() count
    node_count=${SLURM_JOB_NUM_NODES:-1} per_node=1 unlike=false
    for ((part = 1; part < ${SLURM_HET_SIZE:-1}; part++)); do
        name=SLURM_JOB_NUM_NODES_HET_GROUP_$part
        node_count=$((node_count + ${!name:-0}))
    done
    case $per in
        socket) per_node=$(sockets_per_node) ;;
        gpu)
            mapfile -t gpus < <(gpus_of_nodes)
            ((${#gpus[@]} > 0)) || refuse '--per gpu: this allocation has no GPU'
            ;;
    esac
    if [[ $per == gpu && -z $ranks ]]; then
        node_count=${#gpus[@]}
        for count in "${gpus[@]}"; do
            ranks=$((ranks + count))
            per_node=$((per_node > count ? per_node : count))
        done
        ((ranks == per_node * node_count)) || unlike=true
    else
        ranks=${ranks:-$((node_count * per_node))}
        node_count=$((ranks < node_count ? ranks : node_count))
        per_node=$(((ranks + node_count - 1) / node_count))
    fi
    refuse_too_many "$(($(cpus_per_node) * node_count))" 'this allocation'
    cpus_each=$(($(cpus_per_node) / per_node))
    if [[ ${SLURM_JOB_CPUS_PER_NODE:-} == *,* && -z ${SLURM_HET_SIZE:-} ]]; then
        echo "slurm/run: the job's nodes have unlike numbers of CPUs ($SLURM_JOB_CPUS_PER_NODE);" \
            "each is used like the smallest" >&2
    fi
    # Not every site binds its tasks, so the number of workers is told as well. The parts of a
    # heterogeneous job differ; there each rank sees for itself.
    [[ -n ${SLURM_HET_SIZE:-} ]] ||
        export MOBULA_WORKERS=${MOBULA_WORKERS:-$((cpus_each > 0 ? cpus_each : 1))}
}

srun_line() {
    share_allocation
    # A dead rank must not take the step with it: the engine itself decides what its death means.
    # --disable-status: it hands the ranks SIGINT on, and asks for no second one.
    launch=(srun --mpi=pmix --kill-on-bad-exit=0 --no-kill --wait=0 --disable-status -n "$ranks")
    [[ $per != gpu ]] || launch+=(--gpus-per-task=1)
    ! $show_bindings || launch+=(--cpu-bind=verbose)
    # A shell that srun started (srun --pty bash) is a step that has the job's CPUs already; unless
    # it shares them, the ranks would wait for its end.
    [[ -z ${SLURM_STEP_ID:-} ]] || launch+=(--overlap)
    launch+=(-N "$node_count")
    ((ranks != per_node * node_count)) || launch+=(--ntasks-per-node="$per_node")
    # Slurm 22.05 opens connections of their own between its daemons while the ranks meet. On busy
    # nodes a start was seen to hang behind its message "Connection reject". Without them it uses
    # those that it has anyway.
    export SLURM_PMIX_DIRECT_CONN=${SLURM_PMIX_DIRECT_CONN:-false}
    if ((cpus_each > 0)); then
        launch+=(-c "$cpus_each")
    else
        launch+=(--overcommit)
        export OMPI_MCA_mpi_yield_when_idle=1
    fi
}

# mpirun hangs, or says nothing of /dev/shm, where that is too small for its own memory (8.2 MiB by
# Open MPI 4.1) and that of the ranks, which lack_of_shared_memory() of the engine knows.
refuse_full_shm() {
    local free needed=$(((8704 + ranks * 4352) << 10))
    free=$(df --output=avail -B1 /dev/shm 2>/dev/null | tail -n 1) || return 0
    ((free >= needed)) ||
        refuse "/dev/shm has $((free)) bytes free, and a run of $ranks ranks needs $needed bytes$(
        ) there; make it larger (docker: --shm-size), or use fewer ranks"
}
