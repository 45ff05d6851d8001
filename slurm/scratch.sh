# SPDX-License-Identifier: Apache-2.0
# Sourced by slurm/run: the folder that lasts as long as the run, and the removal of what is left.

clean_up() {
    # A launcher that is stopped before it is more than a copy of this shell has this trap too.
    [[ $BASHPID == "$$" ]] || return 0
    # A stop is sent to all processes of a job at once: what cleans up must not be ended by it.
    trap '' TERM INT HUP
    [[ -z ${watcher:-} ]] || kill -KILL -- "-$watcher" 2>/dev/null || true
    [[ -z ${launcher:-} ]] || kill -KILL -- "-$launcher" 2>/dev/null || true
    remove_scratch
    [[ -z ${mpi_folder:-} ]] || remove_mpi_folders
}

# With the ranks that are left. The first thing to go, since Slurm may kill us before we are done.
remove_scratch() {
    [[ -n ${scratch:-} ]] || return 0
    unset MOBULA_STATUS_FILE
    # What the ranks' parents begin meanwhile is found the next time, and so is what they write.
    local times
    for times in 1 2 3 4 5; do
        kill_ranks "$scratch"
        ! rm -rf -- "$scratch" 2>/dev/null || break
        sleep 0.1 || true
    done
    scratch=''
}

# mpirun ends its daemons, and node_agent with them, when they may not have cleaned up yet.
remove_mpi_folders() {
    rm -rf -- "$mpi_folder" 2>/dev/null || true  # a rank's parent may just write there
    [[ -n ${SLURM_JOB_ID:-} && -z ${SLURM_HET_SIZE:-} ]] || return 0
    local nodes=${SLURM_JOB_NUM_NODES:-1} limit=4 options=(--overlap --mpi=none --no-kill --quiet)
    # After a death a node may be gone, for which srun would wait: what the engine knows of it from
    # the network alone is in parentheses.
    if [[ ${reason:-} =~ ^rank\ [0-9]+\ on\ node\ ([^ ]+)\ died( \()? ]]; then
        limit=1.5
        if [[ -n ${BASH_REMATCH[2]} ]]; then
            nodes=$((nodes - 1))
            options+=(--exclude="${BASH_REMATCH[1]}")
        fi
    fi
    ((nodes > 0)) || return 0
    # In braces, so that the shell's word on a killed command goes the same way.
    { timeout -k 0.2 "$limit" srun "${options[@]}" --ntasks-per-node=1 -N "$nodes" -n "$nodes" \
        rm -rf -- "$mpi_folder" </dev/null >/dev/null; } 2>/dev/null || true
}

# kill_ranks SCRATCH: a killed mpirun leaves its ranks alone; they are known by the status file that
# they were given. What runs in a container of this machine is of another machine for us.
kill_ranks() {
    local process
    grep -lzF "MOBULA_STATUS_FILE=$1/status" /proc/[0-9]*/environ 2>/dev/null |
        while IFS=/ read -r _ _ process _; do
            [[ ! /proc/$process/ns/pid -ef /proc/self/ns/pid ]] ||
                kill -KILL "$process" 2>/dev/null || true
        done || true
}

# Sets `identity` to a process and when it began, which no later process with the same number
# shares. By nothing but this shell: a helper may be killed, and then the wrong run is abandoned.
identify() {
    local fields=''
    { read -r -d '' fields <"/proc/$1/stat"; } 2>/dev/null || true
    read -r -a fields <<<"${fields##*) }"
    identity="$1 ${fields[19]:-}"
}

# What is left of runs on this machine whose slurm/run was killed, and its watcher as well.
remove_abandoned() {
    local folder host process began identity
    for folder in "$1"/mobula-run.*; do
        [[ -O $folder && -s $folder/owner ]] || continue
        # Another run may just have removed its folder.
        { read -r host process began <"$folder/owner"; } 2>/dev/null || continue
        [[ $host == "$HOSTNAME" ]] || continue
        identify "$process"
        [[ $identity != "$process $began" ]] || continue
        kill_ranks "$folder"
        rm -rf -- "$folder"
    done
}

# Sets `scratch` to a new folder. Its name is known before it is there, so that clean_up() removes
# it where a stop ends the command that makes it: mktemp would not have told the name yet.
make_folder() {
    local base=$1 code name
    while true; do
        code=0
        printf -v name '%04x%04x' "$RANDOM" "$RANDOM"
        scratch=$base/mobula-run.$name
        mkdir -m 700 -- "$scratch" || code=$?
        ((code != 0)) || return 0
        ((code <= 128)) || exit "$code"
        [[ -e $scratch ]] || { scratch='' && refuse "no folder can be made in $base"; }
        scratch=''  # somebody else's
    done
}
# Everything that lasts as long as the run is in one folder, which goes with the run.
make_scratch() {
    local base identity places=(/dev/shm "${TMPDIR:-/tmp}")
    # The driver's rank may be on another node, so that the folder has to be one that all can see.
    if [[ -n ${SLURM_JOB_ID:-} ]]; then
        places=("$build" "${SLURM_SUBMIT_DIR:-$PWD}" "$HOME")
    fi
    for base in "${places[@]}"; do [[ ! -d $base || ! -w $base ]] || break; done
    remove_abandoned "$base"
    if [[ $base == /dev/shm ]]; then refuse_full_shm; fi
    make_folder "$base"
    identify "$$"
    echo "$HOSTNAME $identity" >"$scratch/owner"
    export MOBULA_STATUS_FILE=$scratch/status
    # By this the engine knows that its own files are wanted here: see RunFolder.
    echo "$ranks" >"$scratch/ranks"
    # Given up for the last words of the run, where the program has filled the rest.
    head -c 65536 /dev/zero >"$scratch/reserve"
    [[ ${launch[0]} == mpirun ]] || return 0
    # mpirun and killed ranks leave files behind; there they are found. The folder is one of each
    # node, because Open MPI maps files of it into memory: node_agent makes it on the others.
    mpi_folder=$scratch
    if [[ -n ${SLURM_JOB_ID:-} ]]; then
        mpi_folder=/dev/shm/${scratch##*/}
        mkdir -m 700 -- "$mpi_folder"
        export OMPI_MCA_orte_launch_agent="$top/slurm/node_agent orted"
    fi
    export OMPI_MCA_btl_vader_backing_directory=$mpi_folder OMPI_MCA_orte_tmpdir_base=$mpi_folder
}
