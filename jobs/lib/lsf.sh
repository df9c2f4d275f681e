# shellcheck shell=bash disable=SC2034,SC2154 # LSF's functions for job_library.sh
scheduler_identify() {
    job_id="${LSB_JOBID:-}" job_cluster="${MPIAPPS_CLUSTER:-}" index="${LSB_JOBINDEX:-}"
    index="${index#0}" job_submit='bsub <' job_timer=1
    job_unchained='#BSUB -[bw] '
    job_reserved=' 99 '
}
scheduler_on_hosts() {
    local hosts
    # shellcheck disable=SC2086 # host, slots, host, slots
    hosts=$(printf '%s %s\n' $LSB_MCPU_HOSTS | cut -d ' ' -f 1 | sort -u)
    job_on_each lsf_start "$hosts" "$@"
}
lsf_start() { # HOST COMMAND...: blaunch, as rsh, gives the words to a shell
    exec blaunch "$1" "$(printf '%q ' "${@:2}")"
}
scheduler_chain() {
    local condition
    condition=$(printf ' && ended(%s)' "$@")
    bsub -w "${condition# && }" -J "$job_name" -o "$job_logs/$job_base/%J.out" \
        -env "none,MPIAPPS_RUN=$job_base,MPIAPPS_INDEX=$index,MPIAPPS_WAITED=$job_waited,MPIAPPS_CLUSTER=$job_cluster" \
        <"$run/next.sh" | sed -n 's/^Job <\([0-9]*\)>.*/\1/p'
}
scheduler_requeue() { exit 99; }  # LSF runs it again: -Q 99
