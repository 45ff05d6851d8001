# SPDX-License-Identifier: Apache-2.0
# Sourced by `cluster`: the verbs that harm a cluster, mend it and tell how it is. What is wrong
# with a link is always asked from the kernel and written down nowhere, so it cannot be out of date.

# The cable goes first: a dying process closes its connections and so tells its
# peers, which a machine without power cannot do.
node_kill() {
    need_node "$1"
    first_process "$1" || { echo "$1 has no power already"; return; }
    on head ip link set "$1" down
    kill -KILL "$pid"
    off() { ! first_process "$1"; }
    until_deadline 20 off "$1" || fail "$1 does not end" 1
}

node_cut() {
    need_node "$1"
    case ${2:-} in
    '') on "$1" ip link set eth0 down ;;
    # Both directions at the switch's port: the node itself sees nothing, not even an error.
    --silent)
        silent "$1" || on head nft -f - <<END
table netdev cut-$1 {
    chain from { type filter hook ingress device "$1" priority 0; policy drop; }
    chain to { type filter hook egress device "$1" priority 0; policy drop; }
}
END
        ;;
    *) fail "cut: '$2' is no option; there is --silent" ;;
    esac
}

silent() { on head nft list table netdev "cut-$1" >/dev/null 2>&1; }

node_heal() {
    need_node "$1"
    if ! first_process "$1"; then
        echo "start $1" >"$state/requests"
        until_deadline 20 first_process "$1" || fail "$1 does not start, see $state/log/$1.log" 1
        up_again() { on "$1" ip link show eth0 up | grep -q 'state UP'; }
        until_deadline 20 up_again "$1" || fail "$1 got no network, see $state/log/$1.log" 1
        return # its slurmd is just starting and tells slurmctld by itself
    fi
    on "$1" ip link show eth0 up | grep -q 'state UP' && ! silent "$1" && return
    on "$1" ip link set eth0 up
    ! silent "$1" || on head nft delete table netdev "cut-$1"
    # Left alone, slurmd and slurmctld find each other again within half a minute; asked, at once.
    on "$1" pkill -HUP -x slurmd || true
}

# Shaping is done on both ends of the cable, since a queue only holds what leaves a device. The
# limiter is the root and the delay its child; without a limiter the delay is the root.
node_limit() {
    need_node "$1"
    [[ ${2:-} =~ ^(off|[0-9.]+[kmg]?bit)$ ]] ||
        fail "limit: a rate like 1gbit or 'off', not '${2:-}'"
    shape "$1" "$2" "$(delay_of "$1")"
}
node_delay() {
    need_node "$1"
    [[ ${2:-} =~ ^(off|[0-9.]+(us|ms|s))$ ]] || fail "delay: a time like 2ms or 'off', not '${2:-}'"
    shape "$1" "$(limit_of "$1")" "$2"
}
limit_of() { shape_of "$1" rate; }
delay_of() { shape_of "$1" delay; }
# shape_of NODE WORD: what the kernel's list of queues has behind the word, or off.
shape_of() {
    on head tc qdisc show dev "$1" | sed -n "s/.* $2 \([^ ]*\).*/\L\1/p" | grep . || echo off
}

shape() {
    local end host device parent error
    for end in "head $1" "$1 eth0"; do
        read -r host device <<<"$end"
        on "$host" tc qdisc del dev "$device" root 2>/dev/null || true
        parent=root
        if [ "$2" != off ]; then
            # The burst holds a few of the 64 KB packets that the kernel hands over at once.
            on "$host" tc qdisc add dev "$device" root handle 1: \
                tbf rate "$2" burst 256kb latency 50ms
            parent="parent 1:1"
        fi
        [ "$3" = off ] ||
            error=$(on "$host" tc qdisc add dev "$device" $parent \
                netem delay "$3" limit 100000 2>&1) ||
            fail "this kernel has no delay ($error)" 77
    done
}

slurm_state() { on head sinfo --noheader --nodes="$1" --partition=low --format=%T; }

node_status() {
    need_up
    local i name pid link
    for ((i = 1; i <= $(<"$state/nodes"); i++)); do
        name=n$i link=cut
        if ! first_process "$name"; then
            printf '%-4s power off  slurm %s\n' "$name" "$(slurm_state "$name")"
            continue
        fi
        on head ip link show "$name" | grep -q 'state UP' && link=up
        silent "$name" && link=silent
        printf '%-4s power on   link %-6s  limit %s  delay %s  slurm %s\n' "$name" $link \
            "$(limit_of "$name")" "$(delay_of "$name")" "$(slurm_state "$name")"
    done
}
