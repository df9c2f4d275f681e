#!/usr/bin/env bash
# First process of a host: mounts its own directories, then keeps it running and reaps children.
# usage: host.sh NAME ROOT, in fresh namespaces
set -euo pipefail
export LC_ALL=C

name=$1 root=$2
# Kernels that tests have compiled on this machine, under the name that this host looks for
# (mpiapps/kernels/cache.py): its ranks would compile them while the first job's limit runs.
sources=$(cat "$(dirname "$0")"/../../mpiapps/kernels/*.py | sha256sum | cut -c 1-16)
kernels=/tmp/mpiapps-$UID/numba-$(hostname)-$sources tmp=$root/$name.tmp
mkdir "$tmp"
mount -t tmpfs -o mode=1777 tmpfs "$tmp"
mkdir -m 700 "$tmp/mpiapps-$UID"
# Tests of another lane may compile meanwhile: a file that has gone is compiled again.
if [ -d "$kernels" ]; then
    cp -a "$kernels" "$tmp/mpiapps-$UID/numba-$name-$sources" || echo "not all kernels are copied"
fi
hostname "$name"
mount --bind "$root/hosts" /etc/hosts
mount --move "$tmp" /tmp
for directory in /run /dev/shm /var/spool /var/log; do
    mount -t tmpfs tmpfs "$directory"
done
chmod 1777 /dev/shm
touch "$root/$name.ready"
# Orphans of daemons become children of this process; bash reaps them while it waits.
while :; do
    sleep 3600 &
    wait $!
done
