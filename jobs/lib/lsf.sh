# shellcheck shell=bash disable=SC2034,SC2154 # LSF's functions for job_library.sh
scheduler_identify() {
    job_id="${LSB_JOBID:-}" job_cluster="${MPIAPPS_CLUSTER:-}" index="${LSB_JOBINDEX:-}"
    index="${index#0}" job_submit='bsub <' job_timer=1
    job_unchained='#BSUB -[bw] '
    job_reserved=' 99 '
}
scheduler_chain() {
    local condition
    condition=$(printf ' && ended(%s)' "$@")
    bsub -w "${condition# && }" -J "$job_name" -o "$job_logs/$job_base/%J.out" \
        -env "none,MPIAPPS_RUN=$job_base,MPIAPPS_INDEX=$index,MPIAPPS_WAITED=$job_waited,MPIAPPS_CLUSTER=$job_cluster" \
        <"$run/next.sh" | sed -n 's/^Job <\([0-9]*\)>.*/\1/p'
}
scheduler_requeue() { exit 99; }  # LSF runs it again: -Q 99
