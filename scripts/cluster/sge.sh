# shellcheck shell=bash disable=SC2154
# Grid Engine on the hosts: the master on head, execution daemons on n1 and n2.

SGE_NODES=(n1 n2)

sge_up() {
    local host
    cp -a "$BASE$SGE_ROOT" "$ROOT/sge"
    for host in "${HOSTS[@]}"; do
        on "$host" sh -c "
            mount --bind $ROOT/sge $SGE_ROOT
            mkdir -p /run/gridengine /var/spool/gridengine/qmaster/job_scripts \
                /var/spool/gridengine/spooldb /var/spool/gridengine/execd
            chown -R sgeadmin: /run/gridengine /var/spool/gridengine"
    done
    on head runuser -u sgeadmin -- /usr/share/gridengine/scripts/init_cluster \
        "$SGE_ROOT" "$SGE_CELL" /var/spool/gridengine/spooldb sgeadmin >/dev/null
    echo head >"$ROOT/sge/$SGE_CELL/common/act_qmaster"
    on head sge_qmaster
    retry 30 on head qconf -sconf
    on head qconf -as head
    for host in "${SGE_NODES[@]}"; do
        on head qconf -ah "$host" >/dev/null
        on head qconf -as "$host" >/dev/null
    done
    sge_configure >"$ROOT/log/qconf.log" 2>&1 || fail "$(tail -n 3 "$ROOT/log/qconf.log")"
    for host in "${SGE_NODES[@]}"; do on "$host" sge_execd; done
    # shellcheck disable=SC2016 # expanded by the shell on the host
    retry 60 on head sh -c 'test "$(qstat -f | grep -c "lx-amd64  *$")" -eq 2'
}

# Root may run jobs, scripts use their shebang, scheduling is immediate; four PEs.
sge_configure() {
    on head qconf -sconf |
        sed 's/^min_uid.*/min_uid 0/; s/^min_gid.*/min_gid 0/;
            s/^max_aj_tasks.*/max_aj_tasks 100/' >"$ROOT/global"
    on head qconf -Mconf "$ROOT/global"
    on head qconf -ssconf |
        sed 's/^schedule_interval.*/schedule_interval 0:0:1/;
            s/^flush_submit_sec.*/flush_submit_sec 1/;
            s/^flush_finish_sec.*/flush_finish_sec 1/' >"$ROOT/schedule"
    on head qconf -Msconf "$ROOT/schedule"
    printf 'group_name @allhosts\nhostlist %s\n' "${SGE_NODES[*]}" >"$ROOT/hostgroup"
    on head qconf -Ahgrp "$ROOT/hostgroup"
    # shellcheck disable=SC2016 # allocation rules begin with a dollar
    for pe in 'mpi1 1' 'mpi2 2' 'smp $pe_slots' 'any $fill_up'; do
        sed "s/@NAME@/${pe% *}/; s/@RULE@/${pe#* }/" "$HERE/pe.conf" >"$ROOT/pe"
        on head qconf -Ap "$ROOT/pe"
    done
    on head env SGE_SINGLE_LINE=1 qconf -sq |
        sed -f "$HERE/queue.sed" >"$ROOT/queue"
    on head qconf -Aq "$ROOT/queue"
}
