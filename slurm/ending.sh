# SPDX-License-Identifier: Apache-2.0
# Sourced by slurm/run: how a run ended, and what is to be said of one whose ranks can say nothing
# any more.

# Takes from the run's folder all that is needed of it: `code` and `reason` as the engine told them,
# `of_rank` and `code_of_rank` where no rank lived to do so.
read_ending() {
    code='' reason=''
    if [[ -s $MOBULA_STATUS_FILE ]]; then
        code=$(sed -n '1s/^exit \([0-9]\{1,3\}\)$/\1/p' "$MOBULA_STATUS_FILE")
        reason=$(sed -n 's/^reason //p' "$MOBULA_STATUS_FILE" | head -n 1)
    fi
    signalled=$(sed -n '1s/^mobula: //p' "$scratch/signalled" 2>/dev/null) || true
    hurried=false
    [[ ! -e $scratch/hurried ]] || hurried=true
    read_late_end
    read_end_of_rank
}

# What the first rank did that ended otherwise than well after a job that had ended well: its main()
# goes on after mobula::run.
read_late_end() {
    local end=()
    late='' code_of_late=1
    [[ -s $scratch/late_end ]] || return 0
    mapfile -t end <"$scratch/late_end"
    late="rank ${end[0]} on node ${end[1]}"
    if [[ ${end[2]} == 'exit code '* ]]; then
        code_of_late=${end[2]#exit code }
        late+=" ended with ${end[2]} after the end of the job"
    else
        late+=" died after the end of the job: ${end[2]}"
    fi
}

# Of a signal, which was not sent by us.
launcher_died() {
    ((launcher_code > 128)) && [[ ${launch[0]} == mpirun && $hurried == false ]]
}

# What became of the rank that ended first, or never came. A run whose ranks all ended as if nothing
# were wrong is none of these.
read_end_of_rank() {
    local end=() said='' missing=() rank when=''
    of_rank='' code_of_rank=''
    [[ -e $scratch/met ]] || when=' before the ranks had met'
    # Those who end because others never came are not to blame.
    if [[ -s $scratch/first_end && ! -s $scratch/overdue ]]; then
        mapfile -t end <"$scratch/first_end"
        # It may have more to say: that memory was short.
        [[ ! -s $scratch/ended.${end[0]} ]] || mapfile -t end <"$scratch/ended.${end[0]}"
        code_of_rank=1
        case ${end[2]} in
            'exit code 0') [[ -e $scratch/overdue ]] || { code_of_rank='' && return; } ;;
            'exit code '*) code_of_rank=${end[2]#exit code } ;;
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
        code_of_rank=1
    elif [[ -s $scratch/mpi_failed ]]; then
        # "[n3:02555] *** reported by process [3208846456,4]", and then MPI ended all ranks.
        local line='^\[([^]:]*):[0-9]+\] .* process \[[0-9]+,([0-9]+)\].*'
        said=$(sed -nE "1s/$line/rank \2 on node \1 ended$when: an error of MPI/p" \
            "$scratch/mpi_failed")
        code_of_rank=1
    elif [[ -s $scratch/died ]]; then
        # "srun: error: n3: task 1: Killed", or "tasks 1-3: Exited with exit code 2"
        local line='^srun: error: ([^:]*): task(s?) ([^:]*): (.*)'
        said=$(sed -nE "1s/$line/rank\\2 \\3 on node \\1 died: \\4/p" "$scratch/died")
        code_of_rank=1
    fi
    of_rank=$said
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

# Prints what is left to say on stderr, and the code; after read_ending.
exit_code() {
    # Whoever stops a job may well reach a rank, or mpirun, before us: it did not end of itself.
    if [[ -z $code || $reason =~ ^rank\ .*\ (died|ended|was\ declared\ dead) ]]; then
        if [[ -z $stopped_by ]] && job_is_ending; then stopped_by=TERM; fi
        [[ -z $stopped_by ]] || code=''
    fi
    [[ $reason == 'the job was ended by signal '* ]] || reason=$signalled
    if [[ -n $reason ]]; then tell_of_signal "$reason"; fi
    if [[ -z $code$reason$stopped_by ]] && launcher_died; then
        echo "slurm/run: mpirun was ended by SIG$(kill -l "$launcher_code"); the job ends" >&2
        echo "$launcher_code"
        return
    fi
    if [[ -z $code$reason$stopped_by ]]; then
        [[ -z $of_rank ]] || echo "mobula: $of_rank; the job ends" >&2
        code=$code_of_rank
    fi
    # mpirun tells its ranks of Ctrl-C by SIGTERM, and we tell those of srun of all by SIGINT.
    if [[ -n $stopped_by && (-z $code || $code =~ ^(130|143)$) ]]; then
        [[ -n $reason ]] || echo "slurm/run: stopped by SIG$stopped_by" >&2
        if [[ $stopped_by == INT ]]; then echo 130; else echo 143; fi
    elif [[ -n $code ]]; then
        if [[ $code == 0 && -n $late && -z $stopped_by ]]; then
            echo "mobula: $late" >&2
            code=$code_of_late
        fi
        echo "$code"
    else
        echo "slurm/run: $program never called mobula::run, or its driver left no exit code" \
            "(${launch[0]} returned $launcher_code)" >&2
        if ((launcher_code == 0)); then echo 1; else echo "$launcher_code"; fi
    fi
}

# Whether Slurm is taking the job's nodes back, be it for the time limit or for scancel.
job_is_ending() {
    local state
    state=$(show_job | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p' | head -n 1) || return 1
    [[ -n $state && $state != RUNNING ]]
}
show_job() {
    [[ -n ${SLURM_JOB_ID:-} ]] && timeout -k 1 3 scontrol show job "$SLURM_JOB_ID" 2>/dev/null
}
