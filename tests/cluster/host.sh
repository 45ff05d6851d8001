# SPDX-License-Identifier: Apache-2.0
# Sourced by the first process of every host (head or node) right after its namespaces were made.
# It turns an empty set of namespaces into something that programs take for a machine of its own.

# note_pid NAME: leaves two pids of this process for those who want to enter its namespaces: the one
# known outside of the cluster and the one known on the head. Comes first, while /proc still is the
# parent's; the outermost /proc is kept in $state/proc until then.
note_pid() {
    local outside head rest
    read -r outside rest <"$state/proc/self/stat"
    read -r head rest </proc/self/stat
    echo "$outside $head" >"$state/pid/$1.new"
    mv "$state/pid/$1.new" "$state/pid/$1"
}

# until_deadline SECONDS COMMAND...: polls, so that a fast machine does not wait for a slow one.
until_deadline() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
}

# private_tmp: an own /tmp, because hosts have one each and a program that meets its peer's files
# there would work here and nowhere else. What the hosts do share is bound back into it.
private_tmp() {
    local path fd fds=()
    for path in "${shared[@]}"; do
        case $path in
        /tmp/*) exec {fd}<"$path" && fds+=("$fd:$path") ;;
        esac
    done
    mount -t tmpfs -o mode=1777,size=4g tmp /tmp
    for path in "${fds[@]}"; do
        fd=${path%%:*} path=${path#*:}
        mkdir -p "$path"
        mount -c --bind "/proc/$$/fd/$fd" "$path"
        exec {fd}<&-
    done
}

# become_host NAME: own name, /proc, /sys (it lists network devices), /dev/shm, /tmp and one folder
# for the daemons' sockets, spool and PMIx files, at the same path on every host.
become_host() {
    mount -t proc proc /proc
    hostname "$1"
    mount -t sysfs sysfs /sys
    mount -t tmpfs -o mode=1777,size=8g shm /dev/shm
    private_tmp
    mount -t tmpfs -o mode=755,size=1g local "$state/local"
    mkdir "$state/local"/{munge,spool,ctld,pmix}
    ip link set lo up
    cp "$state/munge.key" "$state/local/munge/key"
    chmod 0400 "$state/local/munge/key"
    munged --foreground --force --num-threads=2 --key-file="$state/local/munge/key" \
        --socket="$state/local/munge/socket" --pid-file="$state/local/munge/pid" \
        --seed-file="$state/local/munge/seed" --log-file="$state/log/munged.$1.log" \
        2>"$state/log/munged.$1.err" &
    # A socket file proves nothing; a credential that comes back does.
    until_deadline 20 eval "munge -n -S '$state/local/munge/socket' |
        unmunge -S '$state/local/munge/socket'" ||
        { echo "munged of $1 gives no credentials, see $state/log/munged.$1.log" >&2; return 1; }
}
