#!/usr/bin/env bash
# First process of a host: mounts its own directories, then keeps it running and reaps children.
# usage: host.sh NAME ROOT, in fresh namespaces
set -euo pipefail

name=$1 root=$2
# Kernels that tests have compiled on this machine, under the name that this host looks for:
# its ranks would compile them at the same time as the first job's limit runs.
kernels=/tmp/mpiapps-$UID copy=$root/$name.kernels
mkdir -m 700 "$copy"
for directory in "$kernels/numba-$(hostname)"-*; do
    if [ -d "$directory" ]; then cp -a "$directory" "$copy/numba-$name-${directory##*-}"; fi
done
hostname "$name"
mount --bind "$root/hosts" /etc/hosts
for directory in /tmp /run /dev/shm /var/spool /var/log; do
    mount -t tmpfs tmpfs "$directory"
done
chmod 1777 /tmp /dev/shm
mv "$copy" "$kernels"
touch "$root/$name.ready"
# Orphans of daemons become children of this process; bash reaps them while it waits.
while :; do
    sleep 3600 &
    wait $!
done
