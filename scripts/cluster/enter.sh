#!/usr/bin/env bash
# Run a command in the root of TEST_CLUSTER_SLURM, in a mount namespace of the caller's.
# Changes to the root are written to FOLDER, not to the cache. Without a root of its own
# (Slurm 22.05), the command runs in that of this machine.
# usage: enter.sh FOLDER CMD...
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
fail() {
    echo "cluster: error: $*" >&2
    exit 78
}
# shellcheck source=scripts/cluster/root.sh
. "$HERE/root.sh"
directory=$1
shift
[ -n "$SUITE" ] || exec "$@"

root=$directory/root
# An overlay, the root of many containers, cannot hold the changes of another one.
mkdir -p "$directory"
mount -t tmpfs tmpfs "$directory"
mkdir -p "$root" "$directory/changes" "$directory/work"
mount -t overlay overlay \
    -o "lowerdir=$BASE,upperdir=$directory/changes,workdir=$directory/work" "$root"
for path in /proc /sys /dev; do mount --rbind "$path" "$root$path"; done
# Of this machine: the clone, directories of the clusters, pip's configuration, uv's cache.
for path in /tmp /srv "$CLONE" /etc/ssl/certs /etc/xdg/pip "$HOME"/.{cache,config}/pip "$HOME"/.cache/uv; do
    [ -d "$path" ] || continue
    mkdir -p "$root$path"
    mount --bind "$path" "$root$path"
done
for path in /etc/resolv.conf /etc/pip.conf; do
    [ -f "$path" ] || continue
    touch "$root$path"
    mount --bind "$path" "$root$path"
done
for mpi in openmpi mpich impi; do
    mkdir -p "$CLONE/$(environment "$mpi")"
    mount --bind "$ENVIRONMENTS/$mpi" "$root$CLONE/$(environment "$mpi")"
done
mkdir -p "$root/outside"
pivot_root "$root" "$root/outside"
umount -l /outside
cd "$CLONE"
# With the uv of CI, if it is there.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$CLONE/.venv-uv/bin
exec "$@"
