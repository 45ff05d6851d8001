# SPDX-License-Identifier: Apache-2.0
# Sourced by slurm/run: what is to be said of a run whose ranks can say nothing any more.

# Where no rank lived to say it: says what became of the one that ended first, or never came, and
# sets `code`. A run whose ranks all ended as if nothing were wrong is none of these.
tell_of_rank() {
    local end=() said='' missing=() rank when=''
    [[ -e $scratch/met ]] || when=' before the ranks had met'
    # Those who end because others never came are not to blame.
    if [[ -s $scratch/first_end && ! -s $scratch/overdue ]]; then
        mapfile -t end <"$scratch/first_end"
        code=1
        case ${end[2]} in
            'exit code 0') [[ -e $scratch/overdue ]] || { code='' && return; } ;;
            'exit code '*) code=${end[2]#exit code } ;;
        esac
        if [[ ${end[2]} == 'exit code '* ]]; then
            said="ended with ${end[2]}$when"
        else
            said="died$when: ${end[2]}"
        fi
        said="rank ${end[0]} on node ${end[1]} $said"
    elif [[ -e $scratch/overdue ]] && compgen -G "$scratch/waits.*" >/dev/null; then
        for ((rank = 0; rank < ranks; rank++)); do
            [[ -e $scratch/waits.$rank ]] || missing+=("$rank")
        done
        said="the ranks have not met within the start limit (MOBULA_START_WITHIN_S)"
        if ((${#missing[@]} > 0)); then
            said="rank ${missing[0]}$(node_of "${missing[0]}") has not come within the start limit"
            said+=' (MOBULA_START_WITHIN_S)'
            ((${#missing[@]} == 1)) || said+="; nor have $((${#missing[@]} - 1)) others"
        fi
        code=1
    elif [[ -s $scratch/died ]]; then
        # "srun: error: n3: task 1: Killed", or "tasks 1-3: Exited with exit code 2"
        local line='^srun: error: ([^:]*): task(s?) ([^:]*): (.*)'
        said=$(sed -nE "1s/$line/rank\\2 \\3 on node \\1 died: \\4/p" "$scratch/died")
        code=1
    fi
    [[ -z $said ]] || echo "mobula: $said; the job ends" >&2
}

# " on node n3", where launch.sh has put the rank; nothing where the launcher had the choice.
node_of() {
    if [[ -z ${SLURM_JOB_ID:-} ]]; then
        echo " on node $(uname -n)"
    elif ((ranks == per_node * node_count)) && [[ -z ${SLURM_HET_SIZE:-} ]]; then
        scontrol show hostnames "$SLURM_JOB_NODELIST" 2>/dev/null |
            sed -n "$(($1 / per_node + 1))s/^/ on node /p"
    fi
}

# tell_of_signal REASON: the engine's sentence, with the signal that we were sent where there was
# one. It may have been lost with the mpirun that was to pass it on.
tell_of_signal() {
    local sent=''
    case $stopped_by in
        INT) sent='signal 2 (Interrupt)' ;;
        TERM) sent='signal 15 (Terminated)' ;;
    esac
    sed -E ${sent:+-e "s/signal [0-9]+ \([^)]*\)/$sent/"} -e 's/^/mobula: /' <<<"$1" >&2
}
