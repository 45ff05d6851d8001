# SPDX-License-Identifier: Apache-2.0
# Sourced by the test scripts of this folder: one line per check, a count at the end.

passed=0 failed=0 skipped=0

# check NAME COMMAND...: the command's exit code decides (77: not possible here), its output is the
# reason. It runs in a subshell with `set -e` in force, so a failing step fails the check.
check() {
    local name=$1 reason code
    shift
    set +e
    reason=$(set -e; "$@" 2>&1)
    code=$?
    set -e
    reason=$(tail -n "${reason_lines:-3}" <<<"$reason" | tr '\n' ' ')
    case $code in
    0) echo "ok $name" && passed=$((passed + 1)) ;;
    77) echo "skip $name: $reason" && skipped=$((skipped + 1)) ;;
    *) echo "FAIL $name: ${reason:-exit code $code}" && failed=$((failed + 1)) ;;
    esac
}

# tally: the last line and the exit code, which say the same.
tally() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ] || exit 1
    [ "$passed" != 0 ] || exit 77
}

because() { echo "$1"; return 1; }

# own_cluster: this script's own cluster in a folder of its own, taken down however we end.
own_cluster() {
    cluster="$here/cluster"
    box=$(mktemp -d /run/mobula-XXXXXX 2>/dev/null || mktemp -d)
    chmod 755 "$box"
    export MOBULA_CLUSTER_DIR=$box/cluster
    trap '"$cluster" down; rmdir "$box"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}
