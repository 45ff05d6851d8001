# SPDX-License-Identifier: Apache-2.0
# Sourced by suite: how jobs on several hosts end, in order and otherwise.

long_training() { # OUT OPTION...: in the background on all nodes, until it trains
    deadline_s=200 user alice salloc --quiet --no-kill -N3 -n 6 "$top/slurm/run" --no-build \
        -w 1 "${@:2}" "$build/$training" --rounds 200 --steps 2 --output "$1" \
        >"$1/said" 2>&1 &
    trained=$!
    until_deadline 90 grep -q 'round *2/' "$1/said" ||
        because "it does not train: $(tail -n 1 "$1/said")"
}
ended_with_an_error() {
    local code=0
    wait $trained || code=$?
    [ $code != 0 ] || because "exit code 0 although it did not do its work"
}
# over_soon BEGIN [MILLISECONDS]: promised are 5 s. All hosts share a few CPUs here, so it is that
# and as much again for each program per CPU, as in tests/fault/ends.py, but three times that at
# most. What the engine is to save its users takes longer: UCX by itself notices a death after 20 s,
# srun waits a minute for a lost node, mpirun for ever.
over_soon() {
    local took=$(((${EPOCHREALTIME/./} - $1) / 1000)) promised=${2:-5000} allowed kept=kept
    allowed=$(awk -v cpus="$(nproc)" -v promised="$promised" \
        '{ printf "%d", promised * (1 + $1 / cpus) }' /proc/loadavg)
    allowed=$((allowed < 3 * promised ? allowed : 3 * promised))
    [ $took -le "$promised" ] || kept="not kept"
    echo "note: over $took ms after the death: $promised are $kept, allowed here are $allowed"
    [ $took -le "$allowed" ] ||
        because "the job ended $took ms after the death, not within $allowed"
}
# told_and_over NODE OUT BEGIN: the death since then is told, and all is over, as promised.
told_and_over() {
    ended_with_an_error
    over_soon "$3"
    grep -qE "^mobula: rank [0-9]+ on node $1 died" "$2/said" ||
        because "no sentence: $(tail -n 1 "$2/said")"
}
rank_dies() { # NAME OPTION...: of slurm/run
    need_training || return $?
    local out begin
    out=$(folder_of alice "$1")
    notice_deaths_soon
    long_training "$out" "${@:2}"
    begin=${EPOCHREALTIME/./}
    on n3 pkill -KILL -o -x weight_averagin
    told_and_over n3 "$out" "$begin"
}
rank_death_is_told() { rank_dies rank -n 3; }
rank_death_is_told_by_mpirun() { rank_dies mpirun -n 3 --mpirun; }
# node_goes FOLDER COMMAND...: n3 goes by a command of the cluster while a job trains there.
node_goes() {
    need_training || return $?
    local out begin
    out=$(folder_of alice "$1")
    notice_deaths_soon
    long_training "$out" -n 3
    begin=${EPOCHREALTIME/./}
    "$cluster" "${@:2}"
    told_and_over n3 "$out" "$begin"
}
node_death_is_told() { node_goes node kill n3; }
silent_cut_is_told() {
    need_training || return $?
    node_goes cut cut n3 --silent
    # The rank that was cut off has to leave by itself; nobody can reach it.
    gone() { ! on n3 pgrep -x weight_averagin; }
    until_deadline 30 gone || because "the rank behind the cut lives on"
}
# Nobody can reach what is behind the cut: it goes by itself, as soon as the job is to be over.
cut_of_mpirun_leaves_nothing() {
    [ -x "$build/$ends" ] || { echo "fault_job is not built"; return 77; }
    local out begin
    out=$(folder_of alice cut_mpirun)
    notice_deaths_soon
    user alice salloc --quiet --no-kill -N3 --ntasks-per-node=1 "$top/slurm/run" --no-build \
        --mpirun -w 1 -n 3 "$build/$ends" stay >"$out/said" 2>&1 &
    trained=$!
    until_deadline 60 grep -qx ready "$out/said" || because "not ready: $(tail -n 1 "$out/said")"
    begin=${EPOCHREALTIME/./}
    "$cluster" cut n3 --silent
    told_and_over n3 "$out" "$begin"
    [ "$(grep -vcE '^(rank . is process [0-9]+|ready|salloc: .*)$' "$out/said")" = 1 ] ||
        because "it said more than why: $(<"$out/said")"
    until_deadline 30 nodes_are_clean || because "left behind the cut: $(left_behind)"
    over_soon "$begin"
}
# With two ranks on a node Slurm itself ends the step when one dies, and may come before our word.
one_of_two_dies() {
    need_training || return $?
    local out begin
    out=$(folder_of alice two)
    notice_deaths_soon
    long_training "$out" -n 6
    begin=${EPOCHREALTIME/./}
    on n3 pkill -KILL -o -x weight_averagin
    ended_with_an_error
    over_soon "$begin"
}
# deaths_at_start NAME OPTION...: of slurm/run. A rank is killed at moments from its process's first
# on, most of them before the ranks have met; and one ends by itself before it calls run().
moments='0.02 0.15 0.4'
deaths_at_start() {
    [ -x "$build/$ends" ] || { echo "fault_job is not built"; return 77; }
    local out moment begin job code
    out=$(folder_of alice "$1")
    shift
    for moment in $moments returns; do
        local words=(stay)
        [ $moment != returns ] || words=(before return 4)
        user alice salloc --quiet --no-kill -N3 "$top/slurm/run" --no-build -n 6 -w 1 "$@" \
            "$build/$ends" "${words[@]}" >"$out/$moment" 2>&1 &
        job=$!
        until_deadline 60 on n3 pgrep -x fault_job >/dev/null || because "no rank on n3"
        if [ $moment = returns ]; then
            begin=${EPOCHREALTIME/./}
        else
            sleep $moment
            begin=${EPOCHREALTIME/./}
            on n3 pkill -KILL -o -x fault_job
        fi
        code=0
        wait $job || code=$?
        [ $code != 0 ] || because "$moment: exit code 0 although a rank was killed"
        over_soon "$begin" 10000
        grep -E '^mobula: ' "$out/$moment" | sed "s/^/note: $moment: /"
        [ "$(grep -c '^mobula: ' "$out/$moment")" = 1 ] &&
            grep -qE "^mobula: rank [0-9]+ on node n3 (died|ended).*(signal 9|exit code 3)" \
                "$out/$moment" || because "$moment: it said $(<"$out/$moment")"
    done
}
# The long form: also while the ranks meet, and begin to work, on a slow machine too.
deaths_all_along() {
    moments='0.02 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1 1.2 1.4 1.6 2 2.5'
    deaths_at_start "$@"
}
deaths_all_along_srun() { deaths_all_along all_along_srun; }
deaths_all_along_mpirun() { deaths_all_along all_along_mpirun --mpirun; }
deaths_at_start_srun() { deaths_at_start start_srun; }
deaths_at_start_mpirun() { deaths_at_start start_mpirun --mpirun; }

# ends_as_told OPTION...: of slurm/run. What the driver returns or throws is the exit code, and one
# sentence says why where it is not the driver's own; nothing else is printed. All at once, each on
# some CPUs of every node: these jobs end, and do not compute.
declare -A endings=( # words of the program, to the exit code and the sentence
    ['code 5']='5 '
    [throw]='1 mobula: the driver ended by an exception: the driver has had enough'
    [bad]='2 the driver was told nonsense'
)
ends_as_told() {
    start_ends "$1" "${!endings[@]}" -- "${@:2}"
    local words
    for words in "${!endings[@]}"; do
        over_with "$words" "${endings[$words]%% *}" "${endings[$words]#* }"
    done
}
# start_ends NAME WORDS... -- OPTION...: of slurm/run; a job each, in the background.
declare -A job_of=()
start_ends() {
    [ -x "$build/$ends" ] || { echo "fault_job is not built"; return 77; }
    out=$(folder_of alice "$1")
    shift
    local all=() words
    while [ "$1" != -- ]; do all+=("$1") && shift; done
    shift
    for words in "${all[@]}"; do
        # shellcheck disable=SC2086 # they are words
        user alice salloc --quiet --no-kill -N3 --ntasks-per-node=1 "$top/slurm/run" --no-build \
            -w 1 "$@" "$build/$ends" $words >"$out/$words" 2>&1 &
        job_of[$words]=$!
    done
}
# over_with WORDS CODE PATTERN: the one started with these words ended so, and said that.
over_with() {
    local code=0 said
    wait "${job_of[$1]}" || code=$?
    said=$(grep -vE '^(rank . is process [0-9]+|ready|salloc: .*|slurmstepd-.*)$' "$out/$1") || true
    [ "$code" = "$2" ] || because "'$1' ended with $code, not $2; it said: $said"
    grep -qxE -- "$3" <<<"$said" && [ "$(wc -l <<<"$said")" = 1 ] || because "'$1' said: $said"
}
end_srun() { ends_as_told end_srun; }
end_mpirun() { ends_as_told end_mpirun --mpirun; }

# Ctrl-C is sent to slurm/run, as is SIGTERM by whoever wants a job to end.
signals_as_told() { # OPTION...: of slurm/run
    start_ends "$1" 'stay INT' 'stay TERM' -- "${@:2}"
    local signal sentence='mobula: the job was ended by signal'
    for signal in INT TERM; do
        until_deadline 60 grep -q '^ready' "$out/stay $signal" ||
            because "it is not ready: $(tail -n 1 "$out/stay $signal")"
        on head pkill "-$signal" -o -f "^/bin/bash .*slurm/run .* stay $signal\$"
    done
    # The launchers pass on another one, which nobody wants to hear of.
    over_with 'stay INT' 130 "$sentence 2 \(Interrupt\) at rank [0-9]"
    over_with 'stay TERM' 143 "$sentence 15 \(Terminated\) at rank [0-9]"
}
signals_srun() { signals_as_told signals_srun; }
signals_mpirun() { signals_as_told signals_mpirun --mpirun; }

scancelled() { # NAME OPTION...: of slurm/run
    need_training || return $?
    out=$(folder_of alice "$1")
    long_training "$out" -n 6 "${@:2}"
    user alice scancel --user alice
    local code=0
    wait $trained || code=$?
    [ $code = 143 ] || because "exit code $code, not 143"
}
scancel_leaves_nothing() {
    local out
    scancelled cancel
    grep -q '^mobula: the job was ended by signal 15 (Terminated) at rank' "$out/said" ||
        because "no sentence: $(tail -n 1 "$out/said")"
}
# mpirun's daemons end at the same time, so that the ranks' own sentence may get lost.
scancel_of_mpirun_leaves_nothing() {
    local out told='mobula: the job was ended by signal 15 \(Terminated\) at rank [0-9]'
    scancelled cancel_mpirun --mpirun
    grep -qxE "$told|slurm/run: stopped by SIGTERM" "$out/said" ||
        because "no sentence: $(tail -n 1 "$out/said")"
}
# salloc itself is asked to end: it gives the nodes back at once, and waits for nobody.
lost_allocation_leaves_nothing() {
    local words jobs=('stay 1' 'stay 2' 'stay 3') # the more, the slower the daemons end
    start_ends lost "${jobs[@]}" -- --mpirun
    for words in "${jobs[@]}"; do
        until_deadline 60 grep -q '^ready' "$out/$words" ||
            because "it is not ready: $(<"$out/$words")"
    done
    on head pkill -TERM -u alice -x salloc
    for words in "${jobs[@]}"; do ! wait "${job_of[$words]}" || because "salloc lives on"; done
}
