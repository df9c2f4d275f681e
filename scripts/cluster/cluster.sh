#!/usr/bin/env bash
# Test cluster: several hosts on this machine, with a real Slurm and a real Grid Engine.
#
#   cluster.sh packages        install the required Debian packages
#   cluster.sh install         install them, and make the root of another release
#   cluster.sh up              start the hosts head, n1, n2, n3 and both schedulers
#   cluster.sh on HOST CMD...  run CMD on HOST
#   cluster.sh inside CMD...   run CMD in the root of the hosts, without a host
#   cluster.sh cut|join HOST   set the network of HOST down | up
#   cluster.sh accounting up|down  start | end MariaDB and slurmdbd, for sacct
#   cluster.sh logs            print the logs of the daemons
#   cluster.sh down            kill all processes, remove all files
#
# TEST_CLUSTER=N selects one of several independent clusters; default 0.
# TEST_CLUSTER_SLURM=22.05|24.11|26.05 selects the release of Slurm; default 22.05, Debian 12's.
#
# A host is a set of namespaces: its own network, hostname, processes, /tmp, /run, /dev/shm,
# /var/spool and /var/log. The rest of the file system is shared, as on a cluster; with
# another release, the root is that release's, and each host's changes to it are its own.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
NUMBER=${TEST_CLUSTER:-0}
ROOT=/srv/mpiapps-cluster$NUMBER BRIDGE=mpiapps$NUMBER SUBNET=10.77.$NUMBER
NODES=(n1 n2 n3) HOSTS=(head n1 n2 n3)
PACKAGES=(slurm-wlm munge libpmix-dev gridengine-master gridengine-exec gridengine-client
    openssh-client openssh-server iproute2 util-linux procps zsh fish groff-base man-db)
export SLURM_CONF=$ROOT/slurm.conf SGE_ROOT=/var/lib/gridengine SGE_CELL=default

fail() {
    echo "cluster: error: $*" >&2
    exit 78
}

# shellcheck source=scripts/cluster/accounting.sh
. "$HERE/accounting.sh"
# shellcheck source=scripts/cluster/root.sh
. "$HERE/root.sh"
PACKAGES+=("${ACCOUNTING_PACKAGES[@]}")

need_root_on_debian() {
    [ "$(id -u)" -eq 0 ] || fail "namespaces with a network need root; run it as root"
    command -v apt-get >/dev/null || fail "no apt-get; the cluster needs Debian or Ubuntu"
}

# The clone must be in a directory that all hosts share.
need_shared_directory() {
    case $HERE/ in
    /tmp/* | /run/* | /dev/shm/* | /var/spool/* | /var/log/*)
        fail "$HERE is not shared by the hosts; put the clone elsewhere, such as in your home"
        ;;
    esac
}

install() {
    packages
    root_up
}

packages() {
    need_root_on_debian
    local packages=("${PACKAGES[@]}" ${SUITE:+debootstrap})
    if ! dpkg-query -W "${packages[@]}" >/dev/null 2>&1; then
        apt-get update -qq
        # In runlevel 1 the packages start no daemons on this machine.
        RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
            "${packages[@]}" >/dev/null
    fi
}

on() {
    local host=$1
    shift
    nsenter --target "$(<"$ROOT/$host.pid")" --uts --mount --net --pid --ipc --wdns="$PWD" -- "$@"
}

# usage: retry SECONDS CMD...
retry() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || fail "gave up: $*"
        sleep 0.2
    done
}

# The first process of a host keeps it running; when it ends, the kernel kills the others.
start_host() {
    local host=$1 address=$2 init
    # nsenter needs the pid on this machine of the child of `unshare --fork`.
    unshare --net --uts --mount --pid --ipc --fork --mount-proc --kill-child \
        bash "$HERE/enter.sh" "$ROOT/$host" bash "$HERE/host.sh" "$host" "$ROOT" >"$ROOT/log/$host.log" 2>&1 &
    echo $! >"$ROOT/$host.pid" # for `down`, if this ends now
    retry 60 pgrep -P $!
    init=$(pgrep -P $!)
    echo "$init" >"$ROOT/$host.pid"
    ip link add "$BRIDGE-$host" type veth peer name eth0 netns "$init"
    ip link set "$BRIDGE-$host" master "$BRIDGE" up
    nsenter --target "$init" --net sh -c \
        "ip addr add $address/24 dev eth0; ip link set eth0 up; ip link set lo up"
    retry 60 test -e "$ROOT/$host.ready"
}

up() {
    need_shared_directory
    install
    [ ! -e "$ROOT" ] || fail "$ROOT exists: a cluster is up; run \`make cluster-down\`"
    mkdir -p "$ROOT/log"
    local i
    {
        echo "127.0.0.1 localhost"
        for i in "${!HOSTS[@]}"; do echo "$SUBNET.$((10 + i)) ${HOSTS[i]}"; done
    } >"$ROOT/hosts"
    ip link add "$BRIDGE" type bridge
    ip link set "$BRIDGE" up
    for i in "${!HOSTS[@]}"; do start_host "${HOSTS[i]}" "$SUBNET.$((10 + i))"; done
    # shellcheck source=scripts/cluster/slurm.sh
    . "$HERE/slurm.sh"
    # shellcheck source=scripts/cluster/sge.sh
    . "$HERE/sge.sh"
    # shellcheck source=scripts/cluster/ssh.sh
    . "$HERE/ssh.sh"
    ssh_up
    slurm_up
    sge_up
    echo "the cluster is up: ${HOSTS[*]}; run \`$0 on head COMMAND\`"
}

down() {
    local host pid
    for host in "${HOSTS[@]}"; do
        if pid=$(cat "$ROOT/$host.pid" 2>/dev/null); then kill -9 "$pid" 2>/dev/null || true; fi
        ip link del "$BRIDGE-$host" 2>/dev/null || true
    done
    ip link del "$BRIDGE" 2>/dev/null || true
    rm -rf "$ROOT"
}

logs() {
    local host
    for host in "${HOSTS[@]}"; do
        on "$host" bash -O nullglob -c 'tail -v -n 200 /var/log/slurm*.log /tmp/execd_messages.* \
            /var/spool/gridengine/qmaster/message[s] /var/spool/gridengine/execd/*/messages </dev/null' |
            sed "s/^/$host: /" || echo "$host: cannot be entered"
    done
}

case ${1:-} in
packages | install | up | down | logs) "$1" ;;
on) "$@" ;;
inside)
    shift
    install
    inside "$@"
    ;;
cut) on "$2" ip link set eth0 down ;;
accounting) "accounting_$2" ;;
join) on "$2" ip link set eth0 up ;;
*)
    sed -n '2,20s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
