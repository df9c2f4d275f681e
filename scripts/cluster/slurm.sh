# shellcheck shell=bash disable=SC2154
# Slurm on the hosts: munge everywhere, the controller on head, slurmd on n1, n2 and n3.

slurm_up() {
    local host
    sed "s|@NODES@|$(IFS=,; echo "${NODES[*]}")|" "$HERE/slurm.conf" >"$SLURM_CONF"
    # From 23.11 on slurmd uses the control groups of this machine, which hosts share.
    [ -z "$SUITE" ] || echo "CgroupPlugin=disabled" >"$ROOT/cgroup.conf"
    for host in "${HOSTS[@]}"; do
        on "$host" sh -c '
            mkdir -p /run/munge /var/log/munge /var/lib/munge /var/spool/slurmctld
            chown munge: /run/munge /var/log/munge /var/lib/munge
            chown slurm: /var/spool/slurmctld
            exec runuser -u munge -- /usr/sbin/munged'
    done
    on head slurmctld
    for host in "${NODES[@]}"; do on "$host" slurmd; done
    # shellcheck disable=SC2016 # expanded by the shell on the host
    retry 60 on head sh -c 'test "$(sinfo -h -t idle -o %D)" -eq 3'
}
