# shellcheck shell=bash disable=SC2034,SC2154 # variables of job_library.sh
# Functions of Flux for job_library.sh, which describes them.

scheduler_identify() {
    job_id="${FLUX_JOB_ID:-}" job_cluster='' index='' job_submit='flux batch' job_timer=1
    job_unchained='#flux: --dependency'
}
scheduler_chain() {
    flux batch "${@/#/--dependency=afterany:}" --output="$job_logs/$job_base/{{name}}-{{id}}.out" \
        --env=MPIAPPS_RUN="$job_base" --env=MPIAPPS_WAITED="$job_waited" "$run/next.sh"
}
scheduler_requeue() {
    job_chain "$FLUX_JOB_ID" || code=78
    exit "$code"
}
