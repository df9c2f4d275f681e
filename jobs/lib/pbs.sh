# shellcheck shell=bash disable=SC2034,SC2154 # PBS's functions for job_library.sh
scheduler_identify() {
    job_id="${PBS_JOBID:-}" job_cluster='' index="${PBS_ARRAY_INDEX:-}" job_submit=qsub job_timer=1
    job_id="${job_id/\[*\]/[]}"  # the array of an element
    job_unchained='#PBS \(-J\|-a\|-W *depend=\)'
}
scheduler_check_hosts() { # MPICH's Hydra starts a host twice whose lines are not next to each other
    # pbs_tmrsh, pbsdsh and the launchers use line numbers of PBS_NODEFILE: it stays as it is.
    if [ -r "${PBS_NODEFILE:-}" ]; then
        awk '!lines[$1]++ { host[++hosts] = $1 }
            END { for (i = 1; i <= hosts; i++) print host[i] ":" lines[host[i]] }' "$PBS_NODEFILE" >"$run/hosts"
    else
        unset HYDRA_HOST_FILE
    fi
}
scheduler_on_hosts() { # pbs_tmrsh, without a shell, returns the exit code of the command; pbsdsh does not
    local hosts
    hosts=$(sort -u "${PBS_NODEFILE:-/dev/null}")
    if [[ $hosts != *$'\n'* ]]; then
        "$@" </dev/null
        return
    fi
    command -v pbs_tmrsh >/dev/null || {
        echo "mpiapps: $HOSTNAME has no pbs_tmrsh, which starts commands on the other hosts" >&2
        return 1
    }
    job_on_each pbs_tmrsh "$hosts" "$@"
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
