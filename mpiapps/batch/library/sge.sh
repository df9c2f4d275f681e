# shellcheck shell=bash disable=SC2034,SC2154 # Grid Engine's functions for job_library.sh
scheduler_identify() {
    local master
    master=$(cat "${SGE_ROOT:-}/${SGE_CELL:-default}/common/act_qmaster" 2>/dev/null)
    job_id="${JOB_ID:-}" job_cluster="${MPIAPPS_CLUSTER:-${master:+${SGE_CELL:-default}@$master}}"
    index="${SGE_TASK_ID:-}" job_submit=qsub job_timer=1
    index="${index#undefined}"
    job_unchained='#[$] -\(a\|t\|tc\|hold_jid\|hold_jid_ad\) '
    job_reserved=' 99 100 '
}
scheduler_check_hosts() { # other hosts or slots than requested would make ranks share cores
    local slots="$((job_ntasks * job_threads))"
    local requested="${job_nodes:+$job_nodes host(s) with $job_cores slots each}"
    [ "$slots" -gt 1 ] || return 0
    awk -v cores="$job_cores" -v nodes="$job_nodes" -v slots="$slots" \
        '{ slots -= $2 } nodes && $2 != cores { bad = 1 }
        END { exit bad || slots || nodes && NR != nodes }' "$PE_HOSTFILE" && return
    echo "mpiapps: error: ${requested:-$slots slots} requested, got:" >&2
    cat "$PE_HOSTFILE" >&2
    job_event end 78
    exit 78
}
scheduler_on_hosts() {
    local hosts="$HOSTNAME"
    [ -z "${PE_HOSTFILE:-}" ] || hosts=$(cut -d ' ' -f 1 "$PE_HOSTFILE")
    job_on_each sge_start "$hosts" "$@"
}
sge_start() { # HOST COMMAND...
    exec qrsh -inherit -nostdin "$1" "$(printf '%q ' "${@:2}")"
}
scheduler_chain() {
    local IFS=,
    qsub -terse -hold_jid "$*" -o "$job_logs/$job_base/\$JOB_NAME.\$JOB_ID.out" \
        -v MPIAPPS_RUN="$job_base",MPIAPPS_INDEX="$index",MPIAPPS_WAITED="$job_waited",MPIAPPS_CLUSTER="$job_cluster" \
        "$run/next.sh"
}
scheduler_requeue() {
    # A job of several hosts that exits with 99 can wait forever for its own clean-up
    # (seen with 8.1.9): the next job of a chain, where hosts may submit.
    [ "${job_nodes:-2}" -gt 1 ] && job_chain "$JOB_ID" && exit "$code"
    exit 99  # Grid Engine runs it again
}
