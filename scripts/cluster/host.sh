#!/usr/bin/env bash
# First process of a host: mounts its own folders, then keeps it running and reaps children.
# usage: host.sh NAME ROOT, in fresh namespaces
set -euo pipefail

name=$1 root=$2
hostname "$name"
mount --bind "$root/hosts" /etc/hosts
for folder in /tmp /run /dev/shm /var/spool /var/log; do
    mount -t tmpfs tmpfs "$folder"
done
chmod 1777 /tmp /dev/shm
touch "$root/$name.ready"
# Orphans of daemons become children of this process; bash reaps them while it waits.
while :; do
    sleep 3600 &
    wait $!
done
