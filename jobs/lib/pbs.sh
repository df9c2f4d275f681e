# shellcheck shell=bash disable=SC2034,SC2154 # PBS's functions for job_library.sh
scheduler_identify() {
    job_id="${PBS_JOBID:-}" job_cluster='' index="${PBS_ARRAY_INDEX:-}" job_submit=qsub job_timer=1
    job_id="${job_id/\[*\]/[]}"  # the array of an element
    job_unchained='#PBS \(-J\|-a\|-W *depend=\)'
}
scheduler_check_hosts() { # lines of a host together: Hydra would start it twice, on the same cores
    [ -z "$job_nodes" ] && [ -r "${PBS_NODEFILE:-}" ] || return 0
    awk '!lines[$1]++ { host[++hosts] = $1 }
        END { for (i = 1; i <= hosts; i++) while (lines[host[i]]-- > 0) print host[i] }' "$PBS_NODEFILE" >"$run/hosts"
    export PBS_NODEFILE="$run/hosts"
}
scheduler_chain() {
    local IFS=:
    qsub -W depend=afterany:"$*" -o "$job_logs/$job_base/" \
        -v MPIAPPS_RUN="$job_base",MPIAPPS_INDEX="$index",MPIAPPS_WAITED="$job_waited" "$run/next.sh"
}
scheduler_requeue() { # only operators may rerun a job of PBS: the next job of a chain
    job_chain "$PBS_JOBID" || code=78
    exit "$code"
}
