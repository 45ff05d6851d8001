# SPDX-License-Identifier: Apache-2.0
# Sourced by the test scripts of this folder: one line per check, a count at the end.

passed=0 failed=0 skipped=0
# With --tap the same in the form that meson counts one by one.
tap=false
[ "${1:-}" != --tap ] || { tap=true; shift; }

# told RESULT NAME REASON: a line for it, and how long it took where that is known.
took=''
told() {
    local number=$((passed + failed + skipped))
    case $1-$tap in
    passed-false) echo "ok $2$took" ;;
    skipped-false) echo "skip $2: $3" ;;
    failed-false) echo "FAIL $2$took: $3" ;;
    passed-true) echo "ok $number - $2" && echo "# took$took" ;;
    skipped-true) echo "ok $number - $2 # SKIP $3" ;;
    failed-true) echo "not ok $number - $2" && echo "# ${3//$'\n'/ }" ;;
    esac
}

# check NAME COMMAND...: the command's exit code decides (77: not possible here), its output is the
# reason. What it measured is in lines that begin with `note: `, which are shown in any case. It
# runs in a subshell with `set -e` in force, so a failing step fails the check.
check() {
    local name=$1 reason code notes begin=${EPOCHREALTIME/./}
    shift
    set +e
    reason=$(set -e; "$@" 2>&1)
    code=$?
    set -e
    took=$(((${EPOCHREALTIME/./} - begin) / 100000))
    took=" ($((took / 10)).$((took % 10)) s)"
    notes=$(sed -n 's/^note: /# /p' <<<"$reason")
    reason=$(sed '/^note: /d' <<<"$reason" | tail -n "${reason_lines:-20}" | tr '\n' ' ')
    case $code in
    0) passed=$((passed + 1)) && told passed "$name" ;;
    77) skipped=$((skipped + 1)) && told skipped "$name" "$reason" ;;
    *) failed=$((failed + 1)) && told failed "$name" "${reason:-exit code $code}" ;;
    esac
    [ -z "$notes" ] || echo "$notes"
}

# tally: the last line and the exit code, which say the same.
tally() {
    if $tap; then
        echo "1..$((passed + failed + skipped))"
    else
        echo "$passed passed, $failed failed, $skipped skipped"
    fi
    [ "$failed" = 0 ] || exit 1
    [ "$passed" != 0 ] || $tap || exit 77
}

# nothing_here REASON: where a cluster is impossible every check is counted as skipped, by its name.
nothing_here() {
    local name
    for name in "${names[@]}"; do skipped=$((skipped + 1)) && told skipped "$name" "$1"; done
    tally
}

because() { echo "$1"; return 1; }

# own_cluster: this script's own cluster in a folder of its own, taken down however we end. Every
# check's name must be in `names`.
own_cluster() {
    local code=0
    cluster="$here/cluster"
    box=$(mktemp -d /run/mobula-XXXXXX 2>/dev/null || mktemp -d)
    chmod 755 "$box"
    export MOBULA_CLUSTER_DIR=$box/cluster
    trap '"$cluster" down; rmdir "$box"' EXIT
    # Even if we are killed outright, which no trap sees: somebody outside of our process group
    # waits for our end.
    setsid bash -c 'tail --pid="$1" -s 0.5 -f /dev/null; "$2" down; rmdir "$3"' - \
        $$ "$cluster" "$box" </dev/null >/dev/null 2>&1 &
    trap 'exit 130' INT
    trap 'exit 143' TERM
    "$cluster" up "$@" >"$box/up" 2>&1 || code=$?
    local said
    said=$(tail -n 1 "$box/up")
    rm "$box/up"
    [ $code != 77 ] || { nothing_here "$said"; exit; }
    [ $code = 0 ] || { told failed up "$said"; exit 1; }
}

on() { "$cluster" exec "$@"; }

# user NAME COMMAND...: as that user on the login node. A deadline for every command: a hang is a
# failure with a name, not a test run without an end.
user() { timeout -k 5 "${deadline_s:-90}" "$cluster" exec --user "$1" head "${@:2}"; }

# try NAME [COMMAND...]: a check of that name (its function, if no command is given), at whose end
# nothing may be left on any host; then an empty queue and whole and clean nodes, so that a failing
# one does not fail the next.
try() {
    local node before=$failed
    check "$1" leaves_nothing "${@:$(($# > 1 ? 2 : 1))}"
    [ -e "$MOBULA_CLUSTER_DIR" ] || return 0
    on head sh -c 'scancel -f -u alice; scancel -f -u bob' 2>/dev/null || true
    [ "$failed" = "$before" ] || for node in n1 n2 n3; do "$cluster" heal $node; done
    until_deadline 60 idle || true
    [ "$failed" = "$before" ] ||
        for node in $hosts; do on $node bash -c "$wipe" - "$MOBULA_CLUSTER_DIR"; done
}
hosts='head n1 n2 n3'
# By owner, since what the hosts share may be bound into /tmp.
found='find /dev/shm /tmp "$1/local/pmix" -xdev -mindepth 1 \
    \( -user alice -o -user bob -o -path "$1/local/pmix/*" \)'
wipe="pkill -KILL -u alice,bob; ipcrm --all=shm; $found -delete; true"
idle() { [ "$(on head sinfo -h -p low -o %D:%T)" = 3:idle ]; }

# leaves_nothing COMMAND...: the command, and what it put on a host goes by itself.
leaves_nothing() {
    local node
    "$@"
    [ -e "$MOBULA_CLUSTER_DIR" ] || return 0 # it took the cluster down
    for node in n1 n2 n3; do "$cluster" heal $node; done # what has no power cannot be looked at
    until_deadline 30 nodes_are_clean || because "left behind: $(left_behind)"
}
# left_behind: files, segments and processes of the users on every host, and what lies in their
# folders for as long as a job runs.
left_behind() {
    local host
    for host in $hosts; do
        { on $host bash -c "$look" - "$MOBULA_CLUSTER_DIR" || echo "nobody could look"; } |
            sed "s/^/$host: /"
    done
    find "$MOBULA_CLUSTER_DIR"/scratch/{alice,bob} -name 'mobula-*'
}
look="$found; ipcs -m | grep 0x; pgrep -a -u alice,bob; true"
nodes_are_clean() { [ -z "$(left_behind)" ]; }
